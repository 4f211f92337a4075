import { BaseSchedule, type Levels, type NoiseScale } from "./base-schedule.ts";
import { originalOfSigma, type PredictionType } from "./prediction.ts";

export interface SigmaScheduleConfig {
  readonly prediction_type: PredictionType;
  readonly timestep_spacing: "linspace" | "leading" | "trailing";
}

/**
 * Runs in the scale of k-diffusion: latents are image + σ·noise, and the model is given them over √(σ² + 1) (Karras et al.,
 * "Elucidating the Design Space of Diffusion-Based Generative Models", 2022).
 */
export abstract class SigmaSchedule extends BaseSchedule {
  readonly initNoiseSigma: number;
  protected readonly predictionType: PredictionType;
  #original = new Float32Array(0);

  constructor(config: SigmaScheduleConfig, numInferenceSteps: number, levels: Levels) {
    super(numInferenceSteps, levels);
    this.predictionType = config.prediction_type;
    const largest = levels.sigmas.reduce((a, b) => Math.max(a, b), 0);
    this.initNoiseSigma = config.timestep_spacing === "leading" ? rootOfSquarePlusOne(largest) : largest;
  }

  override scaleModelInput(sample: Float32Array, stepIndex: number, out: Float32Array): void {
    const divisor = rootOfSquarePlusOne(this.sigma(stepIndex));
    for (let index = 0; index < sample.length; index++) out[index] = (sample[index] ?? 0) / divisor;
  }

  predictOriginalSample(modelOutput: Float32Array, stepIndex: number, sample: Float32Array, out: Float32Array): void {
    originalOfSigma(this.predictionType, this.sigma(stepIndex), modelOutput, sample, out);
  }

  protected scale(stepIndex: number): NoiseScale {
    return { alpha: 1, sigma: this.sigma(stepIndex) };
  }

  /** x₀ at this step, in memory that the next call uses again. */
  protected original(modelOutput: Float32Array, stepIndex: number, sample: Float32Array): Float32Array {
    if (this.#original.length !== sample.length) this.#original = new Float32Array(sample.length);
    this.predictOriginalSample(modelOutput, stepIndex, sample, this.#original);
    return this.#original;
  }
}

/** x + (at − original)/σ · dt: one step of Euler's method along the derivative that a prediction at `at` gives. */
export function eulerStep(
  sample: Float32Array,
  at: Float32Array,
  original: Float32Array,
  sigma: number,
  dt: number,
  out: Float32Array,
): void {
  for (let index = 0; index < out.length; index++) {
    const derivative = Math.fround(Math.fround((at[index] ?? 0) - (original[index] ?? 0)) / sigma);
    out[index] = (sample[index] ?? 0) + Math.fround(derivative * dt);
  }
}

/** Adds deviation · noise. */
export function addScaled(out: Float32Array, noise: Float32Array, deviation: number): void {
  for (let index = 0; index < out.length; index++) {
    out[index] = (out[index] ?? 0) + Math.fround((noise[index] ?? 0) * deviation);
  }
}

export interface AncestralSplit {
  /** Deviation of the noise that a step adds. */
  readonly up: number;
  /** The sigma down to which it goes before that. */
  readonly down: number;
}

/** How an ancestral step from one sigma to the next is split in going down further and adding noise, in float32. */
export function ancestralSplit(from: number, to: number): AncestralSplit {
  const [fromSquare, toSquare] = [Math.fround(from * from), Math.fround(to * to)];
  const variance = Math.fround(Math.fround(toSquare * Math.fround(fromSquare - toSquare)) / fromSquare);
  const up = Math.fround(Math.sqrt(variance));
  return { up, down: Math.fround(Math.sqrt(Math.fround(toSquare - Math.fround(up * up)))) };
}

/** √(σ² + 1) in float32. */
function rootOfSquarePlusOne(sigma: number): number {
  return Math.fround(Math.sqrt(Math.fround(Math.fround(sigma * sigma) + 1)));
}

/** @throws RangeError: noise that a step needs was not given */
export function required(noise: Float32Array | undefined, sample: Float32Array): Float32Array {
  if (noise?.length === sample.length) return noise;
  throw new RangeError(`the step needs ${sample.length} values of noise, not ${noise?.length ?? "none"}`);
}
