import { checkShape, type Tensor, tensor } from "#pipelines/core/tensor.ts";
import { type RgbImage, toRgbFrame } from "#pipelines/images/rgb.ts";

/** One frame of `[1, channels, frames, height, width]`, as `[1, channels, 1, height, width]`. */
export function frameOf({ data, dims }: Tensor, frame: number): Tensor {
  const [, channels = 0, frames = 0, height = 0, width = 0] = dims;
  const size = height * width;
  const out = new Float32Array(channels * size);
  for (let channel = 0; channel < channels; channel++) {
    const start = (channel * frames + frame) * size;
    out.set(data.subarray(start, start + size), channel * size);
  }
  return tensor(out, [1, channels, 1, height, width]);
}

/** Puts the values of `source` in the place of one frame of `[1, channels, frames, height, width]`. */
export function setFrame({ data, dims }: Tensor, frame: number, source: Tensor): void {
  const [, channels = 0, frames = 0, height = 0, width = 0] = dims;
  checkShape("frame", source.dims, [1, channels, 1, height, width]);
  const size = height * width;
  for (let channel = 0; channel < channels; channel++) {
    data.set(source.data.subarray(channel * size, (channel + 1) * size), (channel * frames + frame) * size);
  }
}

/** All frames of `[1, channels, frames, height, width]` but the first `start`, as a copy. */
export function framesFrom({ data, dims }: Tensor, start: number): Tensor {
  const [, channels = 0, frames = 0, height = 0, width = 0] = dims;
  const [whole, kept] = [frames * height * width, (frames - start) * height * width];
  const out = new Float32Array(channels * kept);
  for (let channel = 0; channel < channels; channel++) {
    const end = (channel + 1) * whole;
    out.set(data.subarray(end - kept, end), channel * kept);
  }
  return tensor(out, [1, channels, frames - start, height, width]);
}

/** One frame as a picture, `[1, channels, height, width]`. */
export function pictureOf(video: Tensor, frame: number): Tensor {
  const { data, dims } = frameOf(video, frame);
  return { data, dims: dims.toSpliced(2, 1) };
}

/**
 * Frames as 8-bit RGB.
 * @param video `[1, 3, frames, height, width]`, nominally in −1…1
 */
export function toRgbFrames(video: Tensor): RgbImage[] {
  return Array.from({ length: video.dims[2] ?? 0 }, (_, frame) => toRgbFrame(video, frame));
}
