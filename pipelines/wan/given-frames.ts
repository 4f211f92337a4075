import { invalidJob } from "#pipelines/core/errors.ts";
import { concat, type Tensor, zeros } from "#pipelines/core/tensor.ts";
import { frameOf } from "#pipelines/diffusion/video-frames.ts";
import type { RgbImage } from "#pipelines/images/rgb.ts";
import { type ClipShape, latentGrid } from "./clip-shape.ts";
import type { FramesCondition } from "./condition.ts";
import type { Conditioning, ConditionParts } from "./conditioning.ts";
import { chunkOf, encodeByTiles } from "./encode-video.ts";
import type { WanModelFolder } from "./model-folder.ts";

/** Frames of a chunk by their place in the clip, with the picture that is given there. */
type GivenAt = (frame: number) => RgbImage | undefined;

/**
 * What an image-to-video transformer is shown beside the latents, as diffusers' `WanImageToVideoPipeline` prepares it: a mask
 * that says which frames are given, and the latents of a clip of these frames, gray where there is none. Transformers of WAN
 * 2.1 also get the pictures' features.
 *
 * A transformer with a timestep for every token is shown the first frame's latents in their place instead.
 *
 * The last picture is that of the clip's last frame. Where the model makes more frames than the clip has (the next 4n+1), it
 * stands in those too.
 * @throws PipelineError INVALID_JOB when one frame is to be two; NUMERICAL_ERROR; the signal's reason
 */
export async function conditionOnFrames(
  parts: ConditionParts,
  shape: ClipShape,
  { first, last }: FramesCondition,
): Promise<Conditioning> {
  const { model, pictures } = parts;
  const given = [first, last].filter((picture) => picture !== undefined);
  for (const picture of given) checkSize(picture, shape);
  if (last !== undefined && shape.frames < 2) {
    throw invalidJob(
      "a clip of one frame has no last frame beside the first: send frame_num 2 or more, or one picture",
    );
  }
  if (model.timestepPerToken) return { firstFrame: await firstFrameOf(parts, given) };
  const at: GivenAt = (frame) => (frame === 0 ? first : frame >= shape.frames - 1 ? last : undefined);
  const features = await pictures?.encode(given, parts.encoding.signal);
  const channels = concat([maskOf(model, shape, at), await latentsOf(parts, shape, given, at)], 1);
  return { channels, inputs: features === undefined ? {} : { encoder_hidden_states_image: features } };
}

function checkSize({ width, height }: RgbImage, clip: ClipShape): void {
  if (width === clip.width && height === clip.height) return;
  throw new RangeError(`a given frame is ${width}×${height}, the clip ${clip.width}×${clip.height}: fit it first`);
}

/** Frames of a latent frame: one of the first, then as many as the VAE's temporal scale. */
function framesOf({ temporalScale }: WanModelFolder, latentFrame: number): number[] {
  const start = latentFrame === 0 ? 0 : 1 + (latentFrame - 1) * temporalScale;
  return Array.from({ length: latentFrame === 0 ? 1 : temporalScale }, (_, index) => start + index);
}

/** `[1, temporal scale, latent frames, height, width]`: 1 where a frame is given; the first frame counts for a whole chunk. */
function maskOf(model: WanModelFolder, shape: ClipShape, at: GivenAt): Tensor {
  const [latentFrames, height, width] = latentGrid(model, shape);
  const mask = zeros([1, model.temporalScale, latentFrames, height, width]);
  const size = height * width;
  for (let latentFrame = 0; latentFrame < latentFrames; latentFrame++) {
    const frames = framesOf(model, latentFrame);
    for (let channel = 0; channel < model.temporalScale; channel++) {
      const start = (channel * latentFrames + latentFrame) * size;
      if (at(frames[channel] ?? 0) !== undefined) mask.data.fill(1, start, start + size);
    }
  }
  return mask;
}

/** Latents of the given frames in their places, in the transformer's scale. */
async function latentsOf(
  { components, model, encoding }: ConditionParts,
  shape: ClipShape,
  given: readonly RgbImage[],
  at: GivenAt,
): Promise<Tensor> {
  const [latentFrames] = latentGrid(model, shape);
  return encodeByTiles(
    components,
    model,
    chunkOf(given),
    latentFrames,
    (tile, latentFrame) => {
      const frames = framesOf(model, latentFrame).map((frame) => {
        const picture = at(frame);
        return picture === undefined ? grayOf(tile) : frameOf(tile, given.indexOf(picture));
      });
      return concat(frames, 2);
    },
    encoding,
  );
}

function firstFrameOf({ components, model, encoding }: ConditionParts, given: readonly RgbImage[]): Promise<Tensor> {
  return encodeByTiles(components, model, chunkOf(given.slice(0, 1)), 1, (tile) => tile, encoding);
}

/** Middle gray, 0 in −1…1, of the size of a tile: `[1, 3, 1, height, width]`. */
function grayOf({ dims }: Tensor): Tensor {
  return zeros(dims.with(2, 1));
}
