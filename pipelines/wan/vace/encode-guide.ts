import { invalidJob } from "#pipelines/core/errors.ts";
import { checkShape, concat, release, type Tensor, zeros } from "#pipelines/core/tensor.ts";
import type { RgbImage } from "#pipelines/images/rgb.ts";
import { type ClipShape, latentGrid } from "../clip-shape.ts";
import type { ConditionParts } from "../conditioning.ts";
import { VideoEncoder } from "../encode-video.ts";
import type { GuideFrame } from "./guide.ts";
import { drawnFrom, type FrameMask, frameMask, maskChannels } from "./mask-channels.ts";

/**
 * What a VACE transformer reads of a control video: the latents of what is kept (all else gray), those of what is drawn anew
 * (all else gray), and the mask. Both are encoded side by side as frames come, and no frame is held longer than its chunk.
 *
 * A video that is shorter than the clip makes fewer latent frames, and frames at its end that fill no chunk only count for the
 * mask, as in diffusers; beyond the frames of the clip, the model's last chunk is filled up with gray.
 * @returns `[1, 2 · channels + scale², frames, height, width]`
 * @throws PipelineError INVALID_JOB for a video without a frame, NUMERICAL_ERROR; what the video throws; the signal's reason
 */
export async function encodeGuide(
  { components, model, encoding }: ConditionParts,
  shape: ClipShape,
  guide: AsyncIterable<GuideFrame> | Iterable<GuideFrame>,
): Promise<Tensor> {
  const encoders = [0, 1].map(() => new VideoEncoder(components, model, encoding));
  const latents: [Tensor[], Tensor[]] = [[], []];
  const masks: FrameMask[] = [];
  let chunk: Chunk | undefined;
  try {
    for await (const { frame, mask: given } of filledUp(guide, shape, framesOf(model, shape))) {
      const mask = frameMask(given, masks.at(-1));
      masks.push(mask);
      chunk ??= emptyChunk(shape, masks.length === 1 ? 1 : model.temporalScale);
      addFrame(chunk, frame, mask);
      if (chunk.count < chunk.size) continue;
      for (const [index, part] of [chunk.kept, chunk.drawn].entries()) {
        const made = await encoders[index]?.push(part);
        if (made !== undefined) latents[index]?.push(made);
        release(part);
      }
      chunk = undefined;
    }
  } finally {
    for (const encoder of encoders) encoder.dispose();
  }
  if (masks.length === 0) throw invalidJob("the control video has no frame: send another one, or leave it out");
  return joined(latents, masks, model.spatialScale);
}

/** The same of a clip that nothing is known of: all gray, all drawn anew. */
export async function encodeNothing(
  { components, model, encoding }: ConditionParts,
  shape: ClipShape,
): Promise<Tensor> {
  const encoder = new VideoEncoder(components, model, encoding);
  const [frames] = latentGrid(model, shape);
  const latents: Tensor[] = [];
  try {
    for (let frame = 0; frame < frames; frame++) {
      latents.push(await encoder.push(zeros([1, 3, frame === 0 ? 1 : model.temporalScale, shape.height, shape.width])));
    }
  } finally {
    encoder.dispose();
  }
  return joined([latents, latents], Array<FrameMask>(framesOf(model, shape)).fill("white"), model.spatialScale);
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

/** Frames that are encoded together, in parts that are gray where the other one is not. */
interface Chunk {
  readonly kept: Tensor;
  readonly drawn: Tensor;
  readonly size: number;
  count: number;
}

function emptyChunk({ width, height }: ClipShape, size: number): Chunk {
  const part = () => zeros([1, 3, size, height, width]);
  return { kept: part(), drawn: part(), size, count: 0 };
}

/** Pixel values in −1…1, of which gray is 0. */
const pixelValues = Float32Array.from({ length: 256 }, (_, value) => Math.fround(2 * Math.fround(value / 255)) - 1);

function addFrame(chunk: Chunk, frame: RgbImage | "gray", mask: FrameMask): void {
  const at = chunk.count++;
  if (frame === "gray") return;
  const [, , frames = 0, height = 0, width = 0] = chunk.kept.dims;
  const plane = width * height;
  checkShape("frame of the control video", [frame.height, frame.width], [height, width]);
  for (let channel = 0; channel < 3; channel++) {
    const target = (channel * frames + at) * plane;
    for (let pixel = 0, source = channel; pixel < plane; pixel++, source += 3) {
      const isDrawn = typeof mask === "string" ? mask === "white" : (mask[pixel] ?? 0) >= drawnFrom;
      (isDrawn ? chunk.drawn : chunk.kept).data[target + pixel] = pixelValues[frame.data[source] ?? 0] ?? 0;
    }
  }
}

function joined([kept, drawn]: [Tensor[], Tensor[]], masks: readonly FrameMask[], scale: number): Tensor {
  const latents = concat([concat(kept, 2), concat(drawn, 2)], 1);
  const [, , frames = 0, height = 0, width = 0] = latents.dims;
  return concat([latents, maskChannels(masks, [frames, height, width], scale)], 1);
}
