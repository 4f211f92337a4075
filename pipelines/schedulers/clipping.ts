export interface Clipping {
  readonly thresholding: boolean;
  readonly dynamic_thresholding_ratio: number;
  readonly sample_max_value: number;
  readonly clip_sample?: boolean;
  readonly clip_sample_range?: number;
}

/**
 * Clips predicted images in place: each to a quantile of its own and scaled to −1…1 ("dynamic thresholding", Saharia et al.,
 * "Photorealistic Text-to-Image Diffusion Models", 2022, section 2.3), else all to a fixed range, else not at all.
 * @param imageSize values of one image
 */
export function clipOriginal(config: Clipping, original: Float32Array, imageSize: number): void {
  if (config.thresholding) {
    for (let start = 0; start < original.length; start += imageSize) {
      threshold(config, original.subarray(start, start + imageSize));
    }
  } else if (config.clip_sample) {
    const range = Math.fround(config.clip_sample_range ?? 1);
    clamp(original, range, 1);
  }
}

function threshold(config: Clipping, image: Float32Array): void {
  const quantile = quantileOf(image.map(Math.abs), config.dynamic_thresholding_ratio);
  const limit = Math.fround(Math.min(Math.max(quantile, 1), config.sample_max_value));
  clamp(image, limit, limit);
}

function clamp(values: Float32Array, limit: number, divisor: number): void {
  for (let index = 0; index < values.length; index++) {
    values[index] = Math.min(Math.max(values[index] ?? 0, -limit), limit) / divisor;
  }
}

/** `torch.quantile`: linear between the two nearest, in float32. */
function quantileOf(values: Float32Array, ratio: number): number {
  const sorted = values.toSorted();
  const rank = Math.fround(ratio * (sorted.length - 1));
  const low = Math.floor(rank);
  const [a, b] = [sorted[low] ?? 0, sorted[Math.ceil(rank)] ?? 0];
  const weight = Math.fround(rank - low);
  const difference = Math.fround(b - a);
  return Math.fround(weight < 0.5 ? a + weight * difference : b - difference * Math.fround(1 - weight));
}
