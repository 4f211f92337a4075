import { z } from "zod";
import type { Levels } from "./base-schedule.ts";
import {
  contradictions,
  refuseUnsupported,
  respacingFields,
  schedulerConfig,
  spacingFields,
  trainingFields,
  zeroSnrField,
} from "./config.ts";
import { linspace32 } from "./noise-schedule.ts";
import type { Schedule, Scheduler } from "./scheduler.ts";
import { SigmaTable, spacedLevels, type WideLevels, withLast } from "./sigma-levels.ts";
import { eulerStep, SigmaSchedule } from "./sigma-schedule.ts";
import { checkSteps, respacedSigmas, spacedTimesteps } from "./spacing.ts";

/** `scheduler_config.json` with diffusers' defaults. */
export const eulerDiscreteConfig = schedulerConfig({
  ...trainingFields(),
  ...spacingFields("linspace"),
  ...respacingFields,
  prediction_type: z.enum(["epsilon", "sample", "original_sample", "v_prediction"]).default("epsilon"),
  interpolation_type: z.enum(["linear", "log_linear"]).default("linear"),
  sigma_min: z.number().nullish(),
  sigma_max: z.number().nullish(),
  timestep_type: z.enum(["discrete", "continuous"]).default("discrete"),
  rescale_betas_zero_snr: zeroSnrField,
  final_sigmas_type: z.enum(["zero", "sigma_min"]).default("zero"),
});

export type EulerDiscreteConfig = z.output<typeof eulerDiscreteConfig>;

/**
 * diffusers' `EulerDiscreteScheduler`: algorithm 2 of Karras et al., "Elucidating the Design Space of Diffusion-Based
 * Generative Models" (2022), without churn.
 * @throws PipelineError UNSUPPORTED_OPTION when the config requests a variant that is not here
 */
export class EulerDiscreteScheduler implements Scheduler {
  readonly className = "EulerDiscreteScheduler";
  readonly #config: EulerDiscreteConfig;
  readonly #table: SigmaTable;

  constructor(config: EulerDiscreteConfig) {
    refuseUnsupported(this.className, contradictions(config));
    this.#config = config;
    this.#table = new SigmaTable(config);
  }

  schedule(numInferenceSteps: number): Schedule {
    checkSteps(numInferenceSteps, this.#config.num_train_timesteps);
    const last = this.#config.final_sigmas_type === "sigma_min" ? this.#table.smallest : 0;
    const levels = withLast(this.#levels(numInferenceSteps), last);
    return new EulerSchedule(this.#config, numInferenceSteps, this.#isContinuous ? continuous(levels) : levels);
  }

  get #isContinuous(): boolean {
    return this.#config.timestep_type === "continuous" && this.#config.prediction_type === "v_prediction";
  }

  #levels(steps: number): WideLevels {
    if (this.#config.interpolation_type === "linear") return spacedLevels(this.#config, this.#table, steps);
    // Spaced by log σ, whatever the timesteps are, and one more, which is so in diffusers too.
    const timesteps = Float64Array.from(spacedTimesteps(this.#config, steps));
    const { sigmas: trained, smallest } = this.#table;
    const largest = trained[trained.length - 1] ?? 0;
    const logarithms = linspace32(Math.log(largest), Math.log(smallest), steps + 1);
    const base = Float64Array.from(logarithms, (logarithm) => Math.fround(Math.exp(logarithm)));
    const sigmas = respacedSigmas(this.#config, base, steps);
    return { sigmas, timesteps: sigmas === base ? timesteps : sigmas.map((sigma) => this.#table.timestepOf(sigma)) };
  }
}

/** Timesteps of models that are told ¼ log σ. */
function continuous({ sigmas }: Levels): Levels {
  return { sigmas, timesteps: sigmas.slice(0, -1).map((sigma) => 0.25 * Math.fround(Math.log(sigma))) };
}

class EulerSchedule extends SigmaSchedule {
  constructor(config: EulerDiscreteConfig, steps: number, levels: Levels) {
    const { prediction_type: type } = config;
    super({ ...config, prediction_type: type === "original_sample" ? "sample" : type }, steps, levels);
  }

  /** x ← x + (x − x₀)/σ · (σ_next − σ) */
  step(modelOutput: Float32Array, stepIndex: number, sample: Float32Array, out: Float32Array): void {
    const sigma = this.sigma(stepIndex);
    const original = this.original(modelOutput, stepIndex, sample);
    eulerStep(sample, sample, original, sigma, Math.fround(this.sigma(stepIndex + 1) - sigma), out);
  }
}
