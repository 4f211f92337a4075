import { basename } from "node:path";
import { z } from "zod";
import { unsupportedOption } from "#pipelines/core/errors.ts";
import { roundHalfEven } from "#pipelines/core/round-half-even.ts";
import type { HandOver } from "#pipelines/diffusion/denoise.ts";
import type { Schedule, Scheduler } from "#pipelines/schedulers/scheduler.ts";
import type { SdxlModelFolder } from "./model-folder.ts";
import type { SdxlRequest } from "./request.ts";

const trained = z
  .looseObject({ num_train_timesteps: z.int().positive().default(1000) })
  .catch({ num_train_timesteps: 1000 });

/** As SDXL's authors trained its refiner: for the last fifth. */
const defaultEnd = 0.8;

/**
 * The share of the noise after which a job's refiner goes on; undefined where none plays a part, as where the share leaves it
 * no step.
 * @throws PipelineError UNSUPPORTED_OPTION when the job sets what its model does not have
 */
export function denoisingEndOf(
  { path, base, refiner, scheduler: { config } }: SdxlModelFolder,
  request: SdxlRequest,
  scheduler: Scheduler,
): number | undefined {
  const { denoisingEnd = refiner && defaultEnd, aestheticScore, negativeAestheticScore } = request;
  const hasScore = aestheticScore !== undefined || negativeAestheticScore !== undefined;
  const model = `the model ${basename(path)}`;
  if (hasScore && !base.takesAestheticScore && !refiner?.takesAestheticScore) {
    throw unsupportedOption(
      `${model} takes no aesthetic_score: that is for a refiner, alone or in the folder refiner/`,
    );
  }
  if (denoisingEnd === undefined || denoisingEnd >= 1) return undefined;
  if (refiner === undefined) {
    throw unsupportedOption(`${model} has no refiner/ that goes on after denoising_end: leave it out, or set it to 1`);
  }
  const schedule = scheduler.schedule(request.numInferenceSteps);
  return handOverOf(schedule, denoisingEnd, config).start < schedule.timesteps.length ? denoisingEnd : undefined;
}

/**
 * Where a base hands over to its refiner after this share of the noise is gone, as `denoising_end` of diffusers' base
 * pipeline and `denoising_start` of its refiner count it: by the timesteps of the training, whatever their spacing is.
 * @param schedulerConfig of the model
 */
export function handOverOf(schedule: Schedule, share: number, schedulerConfig: unknown): Omit<HandOver, "predict"> {
  const { num_train_timesteps: count } = trained.parse(schedulerConfig);
  const cutoff = roundHalfEven(count - share * count);
  const { timesteps, order } = schedule;
  const end = timesteps.filter((timestep) => timestep >= cutoff).length;
  const rest = timesteps.length - end;
  // A solver of order 2 begins with the first of a step's two calls.
  const isCutInStep = order === 2 && rest % 2 === 0;
  return { end, start: timesteps.length - rest - (isCutInStep ? 1 : 0) };
}
