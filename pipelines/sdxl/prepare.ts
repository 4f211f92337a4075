import { scaleInPlace, type Tensor, tensor } from "#pipelines/core/tensor.ts";
import type { DenoiseRequest } from "#pipelines/diffusion/denoise.ts";
import { NoiseSource } from "#pipelines/diffusion/noise.ts";
import type { Schedule } from "#pipelines/schedulers/scheduler.ts";
import type { SdxlModelFolder } from "./model-folder.ts";
import type { SdxlRequest } from "./request.ts";

/** Where the denoising of a part begins, and what is done to its latents on the way. */
export interface Prepared extends Pick<DenoiseRequest, "latents" | "startStep" | "noise" | "afterStep"> {
  /** Standard normal, `[images, channels, height, width]`: what the latents were made of. */
  readonly initialNoise: Tensor;
}

/** The latents that a part begins with, one image per seed: noise alone. */
export function prepareLatents(
  model: SdxlModelFolder,
  request: SdxlRequest,
  schedule: Schedule,
  seeds: readonly number[],
): Prepared {
  const noise = new NoiseSource(seeds);
  const initialNoise = noise.draw(latentShape(model, request));
  const latents = scaleInPlace(tensor(initialNoise.data.slice(), initialNoise.dims), schedule.initNoiseSigma);
  return { initialNoise, latents, noise };
}

/** `[channels, height, width]` of one image, in latents. */
function latentShape(
  { latentChannels, vaeScaleFactor }: SdxlModelFolder,
  { width, height }: SdxlRequest,
): readonly number[] {
  return [latentChannels, height / vaeScaleFactor, width / vaeScaleFactor];
}
