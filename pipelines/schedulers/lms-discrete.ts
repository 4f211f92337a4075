import type { z } from "zod";
import {
  contradictions,
  predictionField,
  refuseUnsupported,
  respacingFields,
  schedulerConfig,
  spacingFields,
  trainingFields,
} from "./config.ts";
import type { Schedule, Scheduler } from "./scheduler.ts";
import { SigmaTable, spacedLevels, withLast } from "./sigma-levels.ts";
import { SigmaSchedule } from "./sigma-schedule.ts";
import { checkSteps } from "./spacing.ts";

export const lmsConfig = schedulerConfig({
  ...trainingFields(),
  ...spacingFields("linspace"),
  ...respacingFields,
  prediction_type: predictionField,
});

type Config = z.output<typeof lmsConfig>;

const maxOrder = 4;

/**
 * diffusers' `LMSDiscreteScheduler`: a linear multistep method of order 4 (Adams and Bashforth's, on steps of unequal
 * length), as in k-diffusion's `sample_lms`.
 */
export class LmsDiscreteScheduler implements Scheduler {
  readonly className = "LMSDiscreteScheduler";
  readonly #config: Config;
  readonly #table: SigmaTable;

  constructor(config: Config) {
    refuseUnsupported(this.className, contradictions(config));
    this.#config = config;
    this.#table = new SigmaTable(config);
  }

  schedule(numInferenceSteps: number): Schedule {
    checkSteps(numInferenceSteps, this.#config.num_train_timesteps);
    const levels = withLast(spacedLevels(this.#config, this.#table, numInferenceSteps), 0);
    return new LmsSchedule(this.#config, numInferenceSteps, levels);
  }
}

class LmsSchedule extends SigmaSchedule {
  /** The newest first. */
  readonly #derivatives: Float32Array[] = [];

  protected override reset(): void {
    this.#derivatives.length = 0;
  }

  step(modelOutput: Float32Array, stepIndex: number, sample: Float32Array, out: Float32Array): void {
    this.take(stepIndex);
    const sigma = this.sigma(stepIndex);
    const original = this.original(modelOutput, stepIndex, sample);
    this.#derivatives.unshift(sample.map((x, index) => Math.fround(x - (original[index] ?? 0)) / sigma));
    this.#derivatives.length = Math.min(this.#derivatives.length, maxOrder);
    // A run that begins in the middle has fewer derivatives than levels before it; diffusers counts the levels.
    const order = Math.min(stepIndex + 1, maxOrder);
    const levels = Array.from({ length: order }, (_, back) => this.sigma(stepIndex - back));
    const sums = new Float32Array(sample.length);
    for (const [back, derivative] of this.#derivatives.entries()) {
      const weight = Math.fround(lagrangeIntegral(levels, back, sigma, this.sigma(stepIndex + 1)));
      for (let index = 0; index < sums.length; index++) {
        sums[index] = (sums[index] ?? 0) + Math.fround(weight * (derivative[index] ?? 0));
      }
    }
    for (let index = 0; index < out.length; index++) out[index] = (sample[index] ?? 0) + (sums[index] ?? 0);
  }
}

/** ∫ of the polynomial that is 1 at `levels[which]` and 0 at the others: exact, by the Gauss rule of two points. */
function lagrangeIntegral(levels: readonly number[], which: number, from: number, to: number): number {
  const [middle, half] = [(from + to) / 2, (to - from) / 2];
  const own = levels[which] ?? 0;
  const valueAt = (tau: number) =>
    levels.reduce(
      (product, level, index) => (index === which ? product : (product * (tau - level)) / (own - level)),
      1,
    );
  const offset = half / Math.sqrt(3);
  return half * (valueAt(middle - offset) + valueAt(middle + offset));
}
