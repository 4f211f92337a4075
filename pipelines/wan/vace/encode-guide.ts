import { invalidJob } from "#pipelines/core/errors.ts";
import { checkShape, concat, release, type Tensor, zeros } from "#pipelines/core/tensor.ts";
import type { TileArea } from "#pipelines/diffusion/encode-tiles.ts";
import { type ClipShape, latentGrid } from "../clip-shape.ts";
import type { ConditionParts } from "../conditioning.ts";
import { encodeByAreas, isTiled, VideoEncoder } from "../encode-video.ts";
import type { GuideFrame } from "./guide.ts";
import { type FrameMask, frameMask, maskChannels } from "./mask-channels.ts";
import { type GuidePart, type HeldFrame, partOf } from "./part-of-frames.ts";

/**
 * What a VACE transformer reads of a control video: the latents of what is kept (all else gray), those of what is drawn anew
 * (all else gray), and the mask. Both are encoded side by side as frames come, and no frame is held longer than its chunk. Large
 * frames are held in 8 bits: they are encoded in tiles, one after the other, and the caches of all tiles of both parts would be
 * ten times as large.
 *
 * A video that is shorter than the clip makes fewer latent frames, and frames at its end that fill no chunk only count for the
 * mask, as in diffusers; beyond the frames of the clip, the model's last chunk is filled up with gray.
 * @returns `[1, 2 · channels + scale², frames, height, width]`
 * @throws PipelineError INVALID_JOB for a video without a frame, NUMERICAL_ERROR; what the video throws; the signal's reason
 */
export async function encodeGuide(
  parts: ConditionParts,
  shape: ClipShape,
  guide: AsyncIterable<GuideFrame> | Iterable<GuideFrame>,
): Promise<Tensor> {
  const masks: FrameMask[] = [];
  const frames = heldFrames(filledUp(guide, shape, framesOf(parts.model, shape)), masks, shape);
  const encode = isTiled(shape, parts.encoding) ? encodeTiles : encodeSideBySide;
  const [kept, drawn] = await encode(parts, shape, frames);
  return withMask(concat([kept, drawn], 1), masks, parts.model.spatialScale);
}

/** The same of a clip that nothing is known of: all gray, all drawn anew. */
export async function encodeNothing(
  { components, model, encoding }: ConditionParts,
  shape: ClipShape,
): Promise<Tensor> {
  const [count] = latentGrid(model, shape);
  const gray =
    ({ rows, columns }: TileArea) =>
    (chunk: number) =>
      zeros([1, 3, chunk === 0 ? 1 : model.temporalScale, rows.size, columns.size]);
  const latents = await encodeByAreas(components, model, shape, count, gray, encoding);
  const masks = Array<FrameMask>(framesOf(model, shape)).fill("white");
  return withMask(concat([latents, latents], 1), masks, model.spatialScale);
}

/** Frames that the model makes for a clip: those beyond its own are thrown away. */
function framesOf(model: ConditionParts["model"], shape: ClipShape): number {
  return (latentGrid(model, shape)[0] - 1) * model.temporalScale + 1;
}

async function* filledUp(
  guide: AsyncIterable<GuideFrame> | Iterable<GuideFrame>,
  { frames }: ClipShape,
  framesMade: number,
): AsyncGenerator<GuideFrame, void, undefined> {
  let count = 0;
  for await (const frame of guide) {
    yield frame;
    if (++count === framesMade) return;
  }
  if (count < frames) return;
  for (; count < framesMade; count++) yield { frame: "gray", mask: "white" };
}

/** Copies: whoever makes frames may use their memory again. @param masks gets that of each frame */
async function* heldFrames(
  guide: AsyncIterable<GuideFrame>,
  masks: FrameMask[],
  { width, height }: ClipShape,
): AsyncGenerator<HeldFrame, void, undefined> {
  for await (const { frame, mask: given } of guide) {
    const mask = frameMask(given, masks.at(-1));
    masks.push(mask);
    if (frame !== "gray") checkShape("frame of the control video", [frame.height, frame.width], [height, width]);
    yield { data: frame === "gray" ? undefined : frame.data.slice(), width, mask };
  }
  if (masks.length === 0) throw invalidJob("the control video has no frame: send another one, or leave it out");
}

type Encoded = readonly [kept: Tensor, drawn: Tensor];
const guideParts = ["kept", "drawn"] as const satisfies readonly GuidePart[];

async function encodeSideBySide(
  { components, model, encoding }: ConditionParts,
  shape: ClipShape,
  frames: AsyncIterable<HeldFrame>,
): Promise<Encoded> {
  const { width, height } = shape;
  const [chunks] = latentGrid(model, shape);
  const whole = { rows: { start: 0, size: height }, columns: { start: 0, size: width } };
  const encoders = guideParts.map((part) => ({ part, encoder: new VideoEncoder(components, model, encoding) }));
  const latents = { kept: [] as Tensor[], drawn: [] as Tensor[] };
  let chunk: HeldFrame[] = [];
  try {
    for await (const frame of frames) {
      chunk.push(frame);
      if (chunk.length < (latents.kept.length === 0 ? 1 : model.temporalScale)) continue;
      for (const { part, encoder } of encoders) {
        const pixels = partOf(chunk, part, whole);
        latents[part].push(await encoder.push(pixels));
        release(pixels);
      }
      chunk = [];
      encoding.onProgress?.(latents.kept.length / chunks);
    }
  } finally {
    for (const { encoder } of encoders) encoder.dispose();
  }
  return [concat(latents.kept, 2), concat(latents.drawn, 2)];
}

async function encodeTiles(
  { components, model, encoding }: ConditionParts,
  shape: ClipShape,
  source: AsyncIterable<HeldFrame>,
): Promise<Encoded> {
  const frames: HeldFrame[] = [];
  for await (const frame of source) {
    encoding.signal?.throwIfAborted();
    frames.push(frame);
  }
  const { temporalScale } = model;
  const chunks = 1 + Math.floor((frames.length - 1) / temporalScale);
  const encode = (part: GuidePart) =>
    encodeByAreas(
      components,
      model,
      shape,
      chunks,
      (area) => (chunk) => {
        const start = chunk === 0 ? 0 : 1 + (chunk - 1) * temporalScale;
        return partOf(frames.slice(start, 1 + chunk * temporalScale), part, area);
      },
      {
        ...encoding,
        onProgress: (share) => encoding.onProgress?.((guideParts.indexOf(part) + share) / guideParts.length),
      },
    );
  return [await encode("kept"), await encode("drawn")];
}

function withMask(latents: Tensor, masks: readonly FrameMask[], scale: number): Tensor {
  const [, , frames = 0, height = 0, width = 0] = latents.dims;
  return concat([latents, maskChannels(masks, [frames, height, width], scale)], 1);
}
