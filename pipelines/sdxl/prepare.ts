import { sampleLatents } from "#pipelines/diffusion/latent-distribution.ts";
import { NoiseSource } from "#pipelines/diffusion/noise.ts";
import type { Schedule } from "#pipelines/schedulers/scheduler.ts";
import type { EncodedReference } from "./encode-reference.ts";
import { prepareInpainting } from "./inpaint.ts";
import type { SdxlModelFolder } from "./model-folder.ts";
import { type Prepared, pureNoise, withNoise } from "./prepared.ts";
import type { SdxlRequest } from "./request.ts";
import { startStepOf } from "./start-step.ts";

/**
 * The latents that a part begins with, one image per seed: noise, or the reference with as much noise as the first step that
 * is run takes away. Random numbers are drawn in the order of diffusers' pipeline for the same task.
 * @throws PipelineError INVALID_JOB when the reference's strength leaves no step
 */
export function prepareLatents(
  model: SdxlModelFolder,
  request: SdxlRequest,
  schedule: Schedule,
  seeds: readonly number[],
  reference?: EncodedReference,
): Prepared {
  const noise = new NoiseSource(seeds, request.noise);
  if (reference === undefined) {
    const initialNoise = noise.draw(latentShape(model, request));
    return { initialNoise, latents: pureNoise(initialNoise, schedule), noise };
  }
  const startStep = startStepOf(request.numInferenceSteps, reference) * schedule.order;
  const { picture, inpainting } = reference;
  if (inpainting !== undefined) {
    return prepareInpainting(model, { ...reference, inpainting }, { noise, images: seeds.length, schedule, startStep });
  }
  const clean = sampleLatents(picture, noise, seeds.length, model.vae);
  const initialNoise = noise.draw(picture.shape);
  return { initialNoise, latents: withNoise(clean, initialNoise, schedule, startStep), startStep, noise };
}

/** `[channels, height, width]` of one image, in latents. */
function latentShape(
  { latentChannels, vaeScaleFactor }: SdxlModelFolder,
  { width, height }: SdxlRequest,
): readonly number[] {
  return [latentChannels, height / vaeScaleFactor, width / vaeScaleFactor];
}
