import { invalidJob } from "#pipelines/core/errors.ts";
import { BaseSchedule, type NoiseScale } from "./base-schedule.ts";
import { type Clipping, clipOriginal } from "./clipping.ts";
import { exactAlphasCumprod, type NoiseScheduleConfig } from "./noise-schedule.ts";
import { noiseOfScale, originalOfScale, type PredictionType } from "./prediction.ts";

export interface AlphaConfig extends NoiseScheduleConfig {
  readonly prediction_type: PredictionType;
  readonly set_alpha_to_one?: boolean;
}

/** ᾱ of the training timesteps, looked up by whole timesteps. */
export class AlphaTable {
  readonly #alphas: Float32Array;
  /** ᾱ behind the last step: 1, or that of timestep 0. */
  readonly #final: number;

  constructor(config: AlphaConfig) {
    this.#alphas = exactAlphasCumprod(config);
    this.#final = config.set_alpha_to_one === false ? (this.#alphas[0] ?? 1) : 1;
  }

  /** ᾱ, in float32; of a timestep below 0 that behind the last step. */
  at(timestep: number): number {
    return timestep < 0 ? this.#final : (this.#alphas[timestep] ?? Number.NaN);
  }

  /** √ᾱ and √(1 − ᾱ). */
  scaleAt(timestep: number): NoiseScale {
    const alpha = this.at(timestep);
    return { alpha: root(alpha), sigma: root(Math.fround(1 - alpha)) };
  }

  /** @throws PipelineError INVALID_JOB: `steps_offset` leads out of the training schedule */
  check(timesteps: Float32Array): void {
    const largest = timesteps.reduce((a, b) => Math.max(a, b), 0);
    if (largest < this.#alphas.length) return;
    throw invalidJob(
      `num_inference_steps leads to timestep ${largest} of ${this.#alphas.length} (with steps_offset of scheduler_config.json): take fewer`,
    );
  }
}

/** Runs that look ᾱ up by timestep: latents are √ᾱ·image + √(1 − ᾱ)·noise, and are the model's input as they are. */
export abstract class AlphaSchedule extends BaseSchedule {
  readonly initNoiseSigma = 1;
  protected readonly table: AlphaTable;
  readonly #predictionType: PredictionType;
  readonly #clipping: Clipping | undefined;

  constructor(
    numInferenceSteps: number,
    timesteps: Float32Array,
    table: AlphaTable,
    predictionType: PredictionType,
    clipping: Clipping | undefined,
  ) {
    table.check(timesteps);
    const sigmas = Float32Array.from(timesteps, (timestep) => {
      const { alpha, sigma } = table.scaleAt(timestep);
      return sigma / Math.max(alpha, 2 ** -12);
    });
    super(numInferenceSteps, { timesteps, sigmas: Float32Array.of(...sigmas, 0) });
    this.table = table;
    this.#predictionType = predictionType;
    this.#clipping = clipping;
  }

  predictOriginalSample(modelOutput: Float32Array, stepIndex: number, sample: Float32Array, out: Float32Array): void {
    originalOfScale(this.#predictionType, this.scale(stepIndex), modelOutput, sample, out);
    if (this.#clipping !== undefined) clipOriginal(this.#clipping, out, this.imageSize ?? out.length);
  }

  protected scale(stepIndex: number): NoiseScale {
    return this.table.scaleAt(this.timestep(stepIndex));
  }

  protected timestep(stepIndex: number): number {
    const timestep = this.timesteps[stepIndex];
    if (timestep === undefined) {
      throw new RangeError(`step ${stepIndex} is outside of ${this.timesteps.length} steps`);
    }
    return timestep;
  }

  protected original(modelOutput: Float32Array, stepIndex: number, sample: Float32Array): Float32Array {
    const original = new Float32Array(sample.length);
    this.predictOriginalSample(modelOutput, stepIndex, sample, original);
    return original;
  }

  /** ε of the model's output. Where it predicts the image, that of the image after clipping. */
  protected noise(
    modelOutput: Float32Array,
    stepIndex: number,
    sample: Float32Array,
    originalForSample: Float32Array,
  ): Float32Array {
    const noise = new Float32Array(sample.length);
    const output = this.#predictionType === "sample" ? originalForSample : modelOutput;
    noiseOfScale(this.#predictionType, this.scale(stepIndex), output, sample, noise);
    return noise;
  }
}

/** Writes a·x + b·y, each product rounded to float32. */
export function weightedSum(a: number, x: Float32Array, b: number, y: Float32Array, out: Float32Array): void {
  for (let index = 0; index < out.length; index++) {
    out[index] = Math.fround(a * (x[index] ?? 0)) + Math.fround(b * (y[index] ?? 0));
  }
}

/** √ in float32. */
export function root(value: number): number {
  return Math.fround(Math.sqrt(value));
}
