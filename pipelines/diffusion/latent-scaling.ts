import { type Tensor, tensor } from "#pipelines/core/tensor.ts";

/** How a VAE's latents are scaled for the denoiser, as the keys of its config say. */
export interface LatentScaling {
  readonly scalingFactor: number;
  readonly shiftFactor: number;
  /** By channel; instead of the shift factor. */
  readonly normalization: { readonly mean: readonly number[]; readonly std: readonly number[] } | undefined;
}

/**
 * Undoes the scaling that the denoiser was trained with: latents / scaling factor + shift, or by channel
 * latents · deviation / scaling factor + mean.
 * @param latents `[1, channels, …]`, in the denoiser's scale; not changed
 */
export function toVaeScale(latents: Tensor, scaling: LatentScaling): Tensor {
  const channels = latents.dims[1] ?? 1;
  const size = latents.data.length / channels;
  const scalingFactor = Math.fround(scaling.scalingFactor);
  const out = new Float32Array(latents.data.length);
  for (let channel = 0; channel < channels; channel++) {
    const std = Math.fround(scaling.normalization?.std[channel] ?? 1);
    const shift = Math.fround(scaling.normalization?.mean[channel] ?? scaling.shiftFactor);
    for (let index = channel * size; index < (channel + 1) * size; index++) {
      out[index] = Math.fround(Math.fround((latents.data[index] ?? 0) * std) / scalingFactor) + shift;
    }
  }
  return tensor(out, latents.dims);
}

/**
 * The scaling that {@link toVaeScale} undoes, of what a VAE has encoded.
 * @param latents `[batch, channels, …]`; changed in place
 */
export function fromVaeScale(latents: Tensor, scaling: LatentScaling): Tensor {
  const { data, dims } = latents;
  const [batch = 1, channels = 1] = dims;
  const size = data.length / (batch * channels);
  const scalingFactor = Math.fround(scaling.scalingFactor);
  for (let row = 0; row < batch * channels; row++) {
    const std = Math.fround(scaling.normalization?.std[row % channels] ?? 1);
    const shift = Math.fround(scaling.normalization?.mean[row % channels] ?? scaling.shiftFactor);
    for (let index = row * size; index < (row + 1) * size; index++) {
      data[index] = Math.fround(Math.fround((data[index] ?? 0) - shift) * scalingFactor) / std;
    }
  }
  return latents;
}
