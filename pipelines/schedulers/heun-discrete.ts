import type { z } from "zod";
import type { Levels } from "./base-schedule.ts";
import { clipOriginal } from "./clipping.ts";
import {
  clipSampleFields,
  contradictions,
  predictionField,
  refuseUnsupported,
  respacingFields,
  schedulerConfig,
  spacingFields,
  stableDiffusionBetas,
  trainingFields,
} from "./config.ts";
import type { Schedule, Scheduler } from "./scheduler.ts";
import { SigmaTable, spacedLevels, withLast } from "./sigma-levels.ts";
import { eulerStep, SigmaSchedule } from "./sigma-schedule.ts";
import { checkSteps } from "./spacing.ts";

export const heunConfig = schedulerConfig({
  ...trainingFields(stableDiffusionBetas),
  ...spacingFields("linspace"),
  ...respacingFields,
  ...clipSampleFields(false),
  prediction_type: predictionField,
});

type Config = z.output<typeof heunConfig>;

/**
 * diffusers' `HeunDiscreteScheduler`: a step of Euler's method, then the same step along the mean of the derivatives at both
 * of its ends (Karras et al., 2022, algorithm 1). Two calls a step, one for the last.
 */
export class HeunDiscreteScheduler implements Scheduler {
  readonly className = "HeunDiscreteScheduler";
  readonly #config: Config;
  readonly #table: SigmaTable;

  constructor(config: Config) {
    refuseUnsupported(this.className, contradictions(config));
    this.#config = config;
    this.#table = new SigmaTable(config);
  }

  schedule(numInferenceSteps: number): Schedule {
    checkSteps(numInferenceSteps, this.#config.num_train_timesteps);
    const { timesteps, sigmas } = withLast(spacedLevels(this.#config, this.#table, numInferenceSteps), 0);
    const levels = { timesteps: twice(timesteps), sigmas: Float32Array.of(...twice(sigmas.subarray(0, -1)), 0) };
    return new HeunSchedule(this.#config, numInferenceSteps, levels);
  }
}

/** Each value but the first two times. */
function twice(values: Float32Array): Float32Array {
  return Float32Array.from({ length: 2 * values.length - 1 }, (_, index) => values[Math.ceil(index / 2)] ?? 0);
}

class HeunSchedule extends SigmaSchedule {
  override readonly order = 2;
  readonly #config: Config;
  /** What the step's first call began with, and the image that it predicted. */
  #sample: Float32Array = new Float32Array(0);
  #derivative: Float32Array = new Float32Array(0);

  constructor(config: Config, steps: number, levels: Levels) {
    super(config, steps, levels);
    this.#config = config;
  }

  override predictOriginalSample(
    modelOutput: Float32Array,
    stepIndex: number,
    sample: Float32Array,
    out: Float32Array,
  ): void {
    super.predictOriginalSample(modelOutput, stepIndex, sample, out);
    clipOriginal({ ...this.#config, ...noThresholding }, out, out.length);
  }

  step(modelOutput: Float32Array, stepIndex: number, sample: Float32Array, out: Float32Array): void {
    this.take(stepIndex);
    const sigma = this.sigma(stepIndex);
    const original = this.original(modelOutput, stepIndex, sample);
    if (stepIndex % 2 === 0) {
      this.#sample = sample.slice();
      this.#derivative = derivativeAt(sample, original, sigma);
      eulerStep(sample, sample, original, sigma, Math.fround(this.sigma(stepIndex + 1) - sigma), out);
      return;
    }
    const second = derivativeAt(sample, original, sigma);
    const dt = Math.fround(sigma - this.sigma(stepIndex - 1));
    for (let index = 0; index < out.length; index++) {
      const mean = Math.fround((this.#derivative[index] ?? 0) + (second[index] ?? 0)) / 2;
      out[index] = (this.#sample[index] ?? 0) + Math.fround(mean * dt);
    }
  }
}

const noThresholding = { thresholding: false, dynamic_thresholding_ratio: 1, sample_max_value: 1 };

function derivativeAt(sample: Float32Array, original: Float32Array, sigma: number): Float32Array {
  return sample.map((x, index) => Math.fround(x - (original[index] ?? 0)) / sigma);
}
