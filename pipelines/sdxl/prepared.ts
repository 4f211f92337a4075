import { scaleInPlace, type Tensor, tensor } from "#pipelines/core/tensor.ts";
import type { DenoiseRequest } from "#pipelines/diffusion/denoise.ts";
import type { Schedule } from "#pipelines/schedulers/scheduler.ts";

/** Where the denoising of a part begins, and what is done to its latents on the way. */
export interface Prepared extends Pick<DenoiseRequest, "latents" | "startStep" | "noise" | "afterStep"> {
  /** Standard normal, `[images, channels, height, width]`: what the latents were made of. */
  readonly initialNoise: Tensor;
  /** What an inpainting UNet is shown beside the latents, `[images, 1 + channels, height, width]`. */
  readonly besideLatents?: Tensor | undefined;
}

/** Noise alone, as strong as the schedule begins. */
export function pureNoise(noise: Tensor, schedule: Schedule): Tensor {
  return scaleInPlace(tensor(noise.data.slice(), noise.dims), schedule.initNoiseSigma);
}

/** Clean latents with the noise that there is before the step at `stepIndex`. */
export function withNoise(clean: Tensor, noise: Tensor, schedule: Schedule, stepIndex: number): Tensor {
  const latents = new Float32Array(clean.data.length);
  schedule.addNoise(clean.data, noise.data, stepIndex, latents);
  return tensor(latents, clean.dims);
}
