import { z } from "zod";
import { AlphaSchedule, AlphaTable, root, weightedSum } from "./alpha-schedule.ts";
import { predictionField, schedulerConfig, stableDiffusionBetas, trainingFields, zeroSnrField } from "./config.ts";
import { consistencyTimesteps } from "./consistency-timesteps.ts";
import type { Schedule, Scheduler, StepNoise } from "./scheduler.ts";
import { required } from "./sigma-schedule.ts";

export const tcdConfig = schedulerConfig({
  ...trainingFields({ ...stableDiffusionBetas, schedule: "scaled_linear" }),
  prediction_type: predictionField,
  original_inference_steps: z.int().positive().default(50),
  set_alpha_to_one: z.boolean().default(true),
  rescale_betas_zero_snr: zeroSnrField,
});

type Config = z.output<typeof tcdConfig>;

/**
 * diffusers' `TCDScheduler` (Zheng et al., "Trajectory Consistency Distillation", 2024, algorithm 4).
 */
export class TcdScheduler implements Scheduler {
  readonly className = "TCDScheduler";
  readonly #config: Config;
  readonly #table: AlphaTable;
  readonly #eta: number;

  /** @param eta the paper's γ: 0 goes straight to the next level, 1 to the image and back up with noise */
  constructor(config: Config, eta: number) {
    this.#config = config;
    this.#eta = eta;
    this.#table = new AlphaTable(config);
  }

  schedule(numInferenceSteps: number): Schedule {
    return new TcdSchedule(this.#config, this.#table, numInferenceSteps, this.#eta);
  }
}

class TcdSchedule extends AlphaSchedule {
  readonly #eta: number;

  constructor(config: Config, table: AlphaTable, steps: number, eta: number) {
    super(steps, consistencyTimesteps(config, steps), table, config.prediction_type, undefined);
    this.#eta = eta;
  }

  override noiseFor(stepIndex: number): StepNoise | undefined {
    return this.#eta > 0 && stepIndex < this.timesteps.length - 1 ? { kind: "normal" } : undefined;
  }

  step(
    modelOutput: Float32Array,
    stepIndex: number,
    sample: Float32Array,
    out: Float32Array,
    noise?: Float32Array,
  ): void {
    const drawn = this.noiseFor(stepIndex) === undefined ? undefined : required(noise, sample);
    const next = this.timesteps[stepIndex + 1] ?? 0;
    const target = Math.floor(Math.fround(Math.fround(1 - this.#eta) * next));
    const original = this.original(modelOutput, stepIndex, sample);
    const direction = this.noise(modelOutput, stepIndex, sample, original);
    const { alpha, sigma } = this.table.scaleAt(target);
    weightedSum(alpha, original, sigma, direction, out);
    if (drawn === undefined) return;
    const ratio = Math.fround(this.table.at(next) / this.table.at(target));
    weightedSum(root(ratio), out, root(Math.fround(1 - ratio)), drawn, out);
  }
}
