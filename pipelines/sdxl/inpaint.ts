import { concat, repeatBatch, type Tensor, tensor } from "#pipelines/core/tensor.ts";
import { sampleLatents } from "#pipelines/diffusion/latent-distribution.ts";
import type { NoiseSource } from "#pipelines/diffusion/noise.ts";
import type { Schedule } from "#pipelines/schedulers/scheduler.ts";
import type { EncodedReference, Inpainting } from "./encode-reference.ts";
import type { SdxlModelFolder } from "./model-folder.ts";
import { type Prepared, pureNoise, withNoise } from "./prepared.ts";

interface Run {
  readonly noise: NoiseSource;
  readonly images: number;
  readonly schedule: Schedule;
  readonly startStep: number;
}

/**
 * Begins a run that draws the masked part of a picture anew, as diffusers' `StableDiffusionXLInpaintPipeline` does: an
 * inpainting UNet is shown mask and rest at every step; with any other, the rest is laid over what each step makes, with the
 * noise of that step.
 */
export function prepareInpainting(
  { vae }: SdxlModelFolder,
  { picture, inpainting, strength }: EncodedReference & { readonly inpainting: Inpainting },
  { noise, images, schedule, startStep }: Run,
): Prepared {
  const { mask, rest } = inpainting;
  const isFromNoise = strength >= 1;
  // diffusers encodes the picture here, and draws for it, unless nothing is made of it.
  const needsPicture = rest === undefined || !isFromNoise;
  const clean = needsPicture ? sampleLatents(picture, noise, images, vae) : undefined;
  const initialNoise = noise.draw(picture.shape);
  const latents =
    clean === undefined || isFromNoise
      ? pureNoise(initialNoise, schedule)
      : withNoise(clean, initialNoise, schedule, startStep);
  const start = { initialNoise, latents, startStep, noise };
  if (rest !== undefined) {
    const beside = [repeatBatch(tensor(mask, [1, 1, ...picture.shape.slice(1)]), images)];
    return { ...start, besideLatents: concat([...beside, sampleLatents(rest, noise, images, vae)], 1) };
  }
  // diffusers draws for the masked picture whether the UNet is shown it or not, which moves the noise of later steps.
  if (picture.std !== undefined) noise.draw(picture.shape);
  return clean === undefined ? start : { ...start, afterStep: keepRest(mask, clean, initialNoise, schedule) };
}

/** Lays the latents of the picture over those of each step where the mask is 0, with the noise that is left after it. */
function keepRest(mask: Float32Array, clean: Tensor, noise: Tensor, schedule: Schedule): Prepared["afterStep"] {
  const lastStep = schedule.timesteps.length - 1;
  return ({ data }, stepIndex) => {
    const original = stepIndex === lastStep ? clean : withNoise(clean, noise, schedule, stepIndex + 1);
    for (let index = 0; index < data.length; index++) {
      const share = mask[index % mask.length] ?? 0;
      data[index] = Math.fround((1 - share) * (original.data[index] ?? 0)) + Math.fround(share * (data[index] ?? 0));
    }
  };
}
