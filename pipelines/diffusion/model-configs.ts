import { join } from "node:path";
import { z } from "zod";
import { modelInvalid, modelNotFound, PipelineError } from "#pipelines/core/errors.ts";
import { readJson } from "#pipelines/core/json-file.ts";
import type { Scheduler } from "#pipelines/schedulers/scheduler.ts";
import type { LatentScaling } from "./latent-scaling.ts";
import type { LatentRgb } from "./preview.ts";

const schedulerConfig = z.looseObject({ _class_name: z.string() });

/** Keys that the config of a VAE has whatever its family. */
export const vaeFields = {
  latents_mean: z.array(z.number()).nullish(),
  latents_std: z.array(z.number()).nullish(),
  /** How previews are made of the latents; this project's own key. */
  latent_rgb: z
    .object({ weights: z.array(z.array(z.number())).length(3), biases: z.array(z.number()).length(3) })
    .nullish(),
};

type VaeFields = z.output<z.ZodObject<typeof vaeFields>>;

/** `scheduler_config.json` of a model. */
export interface SchedulerFile {
  readonly path: string;
  /** diffusers' name of the class that wrote it. */
  readonly className: string;
  readonly config: unknown;
}

/**
 * Reads a config that a model cannot be without.
 * @throws PipelineError MODEL_NOT_FOUND, or MODEL_INVALID naming the file and every bad field
 */
export async function readConfig<Schema extends z.ZodType>(path: string, schema: Schema): Promise<z.output<Schema>> {
  const value = await readJson(path, schema);
  if (value === undefined) throw modelNotFound("a config of the model", path);
  return value;
}

/** @throws PipelineError MODEL_NOT_FOUND or MODEL_INVALID */
export async function readSchedulerFile(modelFolder: string): Promise<SchedulerFile> {
  const path = join(modelFolder, "scheduler/scheduler_config.json");
  const config = await readConfig(path, schedulerConfig);
  return { path, className: config._class_name, config };
}

/**
 * The scheduler that a model names itself, made by `create`. One that is not here is the model's fault, and not that of
 * a job that named none.
 * @throws PipelineError MODEL_INVALID
 */
export function ownScheduler<Made extends Scheduler>({ path }: SchedulerFile, create: () => Made): Made {
  try {
    return create();
  } catch (error) {
    const isUnknown = error instanceof PipelineError && error.code === "UNSUPPORTED_OPTION";
    throw isUnknown ? modelInvalid(path, error.message, error) : error;
  }
}

/** Mean and deviation by channel, where the config of the VAE has both. */
export function readNormalization(path: string, vae: VaeFields, channels: number): LatentScaling["normalization"] {
  const { latents_mean: mean, latents_std: std } = vae;
  if (!mean || !std) return undefined;
  checkEqual(path, "length of latents_mean", mean.length, "the number of latent channels", channels);
  checkEqual(path, "length of latents_std", std.length, "the number of latent channels", channels);
  return { mean, std };
}

export function readLatentRgb(path: string, vae: VaeFields, channels: number): LatentRgb | undefined {
  if (!vae.latent_rgb) return undefined;
  for (const row of vae.latent_rgb.weights) {
    checkEqual(path, "length of a row of latent_rgb.weights", row.length, "the number of latent channels", channels);
  }
  return vae.latent_rgb;
}

/** @throws PipelineError MODEL_INVALID naming the file and both numbers */
export function checkEqual(path: string, name: string, actual: number, otherName: string, expected: number): void {
  if (actual !== expected) throw modelInvalid(path, `${name} is ${actual}, but ${otherName} is ${expected}`);
}
