import { z } from "zod";
import { unsupportedOption } from "#pipelines/core/errors.ts";

/**
 * Groups of keys of `scheduler_config.json`. Each class takes those that diffusers' class takes, with its defaults; other
 * keys are let through, as diffusers ignores them when one class reads what another wrote.
 */

const commonBetaSchedules = ["linear", "scaled_linear", "squaredcos_cap_v2"] as const;
/** `exp` is of Heun, the last two are of DDPM. */
export const betaSchedules = [...commonBetaSchedules, "exp", "laplace", "sigmoid"] as const;

/** A class's config: an object with these keys, and one trained β for each training timestep where it has any. */
export function schedulerConfig<Shape extends z.ZodRawShape>(shape: Shape) {
  return z.object(shape).superRefine((config, ctx) => {
    const { trained_betas: betas, num_train_timesteps: count } = trained.parse(config);
    if (!betas || betas.length === count) return;
    const message = `must have num_train_timesteps (${count}) values, not ${betas.length}`;
    ctx.addIssue({ code: "custom", path: ["trained_betas"], message });
  });
}

const trained = z.looseObject({ num_train_timesteps: z.number(), trained_betas: z.array(z.number()).nullish() });

interface TrainingDefaults {
  readonly start?: number;
  readonly end?: number;
  readonly schedule?: (typeof commonBetaSchedules)[number];
}

/** The training noise schedule. */
export function trainingFields({ start = 0.0001, end = 0.02, schedule = "linear" }: TrainingDefaults = {}) {
  return {
    num_train_timesteps: z.int().positive().default(1000),
    beta_start: z.number().default(start),
    beta_end: z.number().default(end),
    beta_schedule: z.enum(betaSchedules).default(schedule),
    trained_betas: z.array(z.number()).min(1).nullish(),
  };
}

/** Of Stable Diffusion, where k-diffusion's samplers have it as their default. */
export const stableDiffusionBetas = { start: 0.00085, end: 0.012 } as const;

/** Where on the training schedule the steps lie. */
export function spacingFields(spacing: "linspace" | "leading" | "trailing") {
  return {
    timestep_spacing: z.enum(["linspace", "leading", "trailing"]).default(spacing),
    steps_offset: z.int().min(0).default(0),
  };
}

/** Sigmas that are spread anew. */
export const respacingFields = {
  use_karras_sigmas: z.boolean().nullish(),
  use_exponential_sigmas: z.boolean().nullish(),
  use_beta_sigmas: z.boolean().nullish(),
};

export const predictionField = z.enum(["epsilon", "sample", "v_prediction"]).default("epsilon");

/** What is done to a predicted image before it is used. */
export const clippingFields = {
  thresholding: z.boolean().default(false),
  dynamic_thresholding_ratio: z.number().min(0).max(1).default(0.995),
  sample_max_value: z.number().default(1),
};

/** The same, with plain clipping. */
export function clipSampleFields(isDefault: boolean) {
  return { clip_sample: z.boolean().default(isDefault), clip_sample_range: z.number().default(1) };
}

export const zeroSnrField = z.boolean().default(false);

interface Respacing {
  readonly use_karras_sigmas?: boolean | null | undefined;
  readonly use_exponential_sigmas?: boolean | null | undefined;
  readonly use_beta_sigmas?: boolean | null | undefined;
}

/** What a config requests that a class does not have, by name. */
export type Unsupported = Readonly<Record<string, boolean>>;

/** Two ways to spread sigmas anew exclude each other, in diffusers too. */
export function contradictions(config: Respacing): Unsupported {
  const names = (["use_karras_sigmas", "use_exponential_sigmas", "use_beta_sigmas"] as const).filter(
    (name) => config[name] === true,
  );
  return { [`${names.join(" and ")} together`]: names.length > 1 };
}

/** @throws PipelineError UNSUPPORTED_OPTION naming all that is requested and not there */
export function refuseUnsupported(className: string, unsupported: Unsupported): void {
  const names = Object.entries(unsupported).flatMap(([name, isSet]) => (isSet ? [name] : []));
  if (names.length === 0) return;
  throw unsupportedOption(`${className} runs without ${names.join(", ")}; change scheduler_config.json`);
}
