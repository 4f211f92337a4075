import { z } from "zod";
import { AlphaSchedule, AlphaTable, root, weightedSum } from "./alpha-schedule.ts";
import {
  clippingFields,
  clipSampleFields,
  predictionField,
  schedulerConfig,
  stableDiffusionBetas,
  trainingFields,
  zeroSnrField,
} from "./config.ts";
import { consistencyTimesteps } from "./consistency-timesteps.ts";
import type { Schedule, Scheduler, StepNoise } from "./scheduler.ts";
import { required } from "./sigma-schedule.ts";

export const lcmConfig = schedulerConfig({
  ...trainingFields({ ...stableDiffusionBetas, schedule: "scaled_linear" }),
  ...clippingFields,
  ...clipSampleFields(false),
  prediction_type: predictionField,
  original_inference_steps: z.int().positive().default(50),
  set_alpha_to_one: z.boolean().default(true),
  timestep_scaling: z.number().default(10),
  rescale_betas_zero_snr: zeroSnrField,
});

type Config = z.output<typeof lcmConfig>;

/** σ² of the training data, whose σ is 0.5, in the boundary condition of consistency models. */
const dataVariance = 0.25;

/**
 * diffusers' `LCMScheduler`: each step jumps to the image, and noise is added up to the next level (Luo et al., "Latent
 * Consistency Models", 2023, algorithm 3).
 */
export class LcmScheduler implements Scheduler {
  readonly className = "LCMScheduler";
  readonly #config: Config;
  readonly #table: AlphaTable;

  constructor(config: Config) {
    this.#config = config;
    this.#table = new AlphaTable(config);
  }

  schedule(numInferenceSteps: number): Schedule {
    return new LcmSchedule(this.#config, this.#table, numInferenceSteps);
  }
}

class LcmSchedule extends AlphaSchedule {
  readonly #timestepScaling: number;

  constructor(config: Config, table: AlphaTable, steps: number) {
    super(steps, consistencyTimesteps(config, steps), table, config.prediction_type, config);
    this.#timestepScaling = config.timestep_scaling;
  }

  override noiseFor(stepIndex: number): StepNoise | undefined {
    return stepIndex < this.timesteps.length - 1 ? { kind: "normal" } : undefined;
  }

  step(
    modelOutput: Float32Array,
    stepIndex: number,
    sample: Float32Array,
    out: Float32Array,
    noise?: Float32Array,
  ): void {
    const isLast = this.noiseFor(stepIndex) === undefined;
    const drawn = isLast ? undefined : required(noise, sample);
    const scaled = Math.fround(this.timestep(stepIndex) * this.#timestepScaling);
    const square = Math.fround(Math.fround(scaled * scaled) + dataVariance);
    const original = this.original(modelOutput, stepIndex, sample);
    weightedSum(Math.fround(scaled / root(square)), original, Math.fround(dataVariance / square), sample, out);
    if (drawn === undefined) return;
    const { alpha, sigma } = this.scale(stepIndex + 1);
    weightedSum(alpha, out, sigma, drawn, out);
  }
}
