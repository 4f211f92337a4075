import { BaseSchedule, type NoiseScale } from "./base-schedule.ts";
import type { FlowLevels } from "./flow-sigmas.ts";

/** What all flow-matching runs share: a sample is (1 − σ)·image + σ·noise, and x₀ = x − σ·v. */
export abstract class FlowSchedule extends BaseSchedule {
  readonly initNoiseSigma = 1;

  predictOriginalSample(modelOutput: Float32Array, stepIndex: number, sample: Float32Array, out: Float32Array): void {
    const sigma = this.sigma(stepIndex);
    for (let index = 0; index < sample.length; index++) {
      out[index] = (sample[index] ?? 0) - Math.fround(sigma * (modelOutput[index] ?? 0));
    }
  }

  protected scale(stepIndex: number): NoiseScale {
    const sigma = this.sigma(stepIndex);
    return { alpha: Math.fround(1 - sigma), sigma };
  }
}

/** A run whose steps also use the images that earlier steps predicted. */
export abstract class MultistepSchedule extends FlowSchedule {
  /** Predicted images, the newest first, at most as many as the order of the solver. */
  protected readonly predictions: Float32Array[] = [];
  readonly #maxPredictions: number;
  /** The memory of one that is not needed any more. */
  #spare: Float32Array | undefined;
  #nextStep = 0;

  constructor(numInferenceSteps: number, levels: FlowLevels, solverOrder: number) {
    super(numInferenceSteps, levels);
    this.#maxPredictions = solverOrder;
  }

  protected override reset(stepIndex: number): void {
    this.predictions.length = 0;
    this.#nextStep = stepIndex;
  }

  /** @throws RangeError when the step is not the next one */
  protected take(stepIndex: number): void {
    if (stepIndex !== this.#nextStep) {
      throw new RangeError(
        `the next step is ${this.#nextStep}, not ${stepIndex}; a multistep solver takes them in order`,
      );
    }
    this.#nextStep = stepIndex + 1;
  }

  /** The image that this step's output points at; {@link remember} keeps it for the steps that follow. */
  protected predict(modelOutput: Float32Array, stepIndex: number, sample: Float32Array): Float32Array {
    const prediction = this.#spare?.length === sample.length ? this.#spare : new Float32Array(sample.length);
    this.#spare = undefined;
    this.predictOriginalSample(modelOutput, stepIndex, sample, prediction);
    return prediction;
  }

  protected remember(prediction: Float32Array): void {
    this.predictions.unshift(prediction);
    if (this.predictions.length > this.#maxPredictions) this.#spare = this.predictions.pop();
  }
}

/** λ = log α − log σ with α = 1 − σ: half the logarithm of the signal-to-noise ratio, in float32. */
export function halfLogSnr(sigma: number): number {
  const logAlpha = Math.fround(Math.log(Math.fround(1 - sigma)));
  return Math.fround(logAlpha - Math.fround(Math.log(sigma)));
}

/** `weight` · (`prediction` − newest prediction). */
export interface Difference {
  readonly prediction: Float32Array;
  readonly weight: number;
}

/** Writes sampleFactor·x + newestFactor·m₀ + Σ weight·(mₖ − m₀) to `out`, which may be `sample`. */
export function combine(
  out: Float32Array,
  sampleFactor: number,
  sample: Float32Array,
  newestFactor: number,
  newest: Float32Array,
  differences: readonly Difference[],
): void {
  // One loop without a branch: a difference that is not there is that of the newest prediction to itself.
  const none = { prediction: newest, weight: 0 };
  const [first = none, second = none, third = none] = differences;
  const [m1, m2, m3] = [first.prediction, second.prediction, third.prediction];
  const [w1, w2, w3] = [first.weight, second.weight, third.weight];
  for (let index = 0; index < out.length; index++) {
    const m0 = newest[index] ?? 0;
    out[index] =
      sampleFactor * (sample[index] ?? 0) +
      newestFactor * m0 +
      w1 * ((m1[index] ?? 0) - m0) +
      w2 * ((m2[index] ?? 0) - m0) +
      w3 * ((m3[index] ?? 0) - m0);
  }
}
