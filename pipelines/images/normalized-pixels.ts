import { type Tensor, tensor } from "#pipelines/core/tensor.ts";
import type { RgbImage } from "./rgb.ts";

/** Mean and deviation of each channel, of values in 0…1. */
export interface PixelStatistics {
  readonly image_mean: readonly number[];
  readonly image_std: readonly number[];
}

/** `[1, 3, height, width]`: values in 0…1 less their mean, over their deviation, as transformers' image processors compute it. */
export function normalizedPixels(
  { data, width, height }: RgbImage,
  { image_mean, image_std }: PixelStatistics,
): Tensor {
  const pixels = width * height;
  const values = new Float32Array(3 * pixels);
  for (let channel = 0; channel < 3; channel++) {
    const [mean, deviation] = [Math.fround(image_mean[channel] ?? 0), Math.fround(image_std[channel] ?? 1)];
    for (let pixel = 0, source = channel; pixel < pixels; pixel++, source += 3) {
      const share = Math.fround((data[source] ?? 0) * (1 / 255));
      values[channel * pixels + pixel] = Math.fround(share - mean) / deviation;
    }
  }
  return tensor(values, [1, 3, height, width]);
}
