import { BaseSchedule, type Levels, type NoiseScale } from "./base-schedule.ts";
import { type Clipping, clipOriginal } from "./clipping.ts";
import { noiseOfScale, originalOfFlow, originalOfScale, type PredictionType } from "./prediction.ts";

/** How latents follow from a level's sigma: α·image + σ·noise. */
export type SigmaScale = (sigma: number) => NoiseScale;

/** Of models trained on noise: α² + σ² = 1, where sigmas are the ratio of the two. In float32. */
export const diffusionScale: SigmaScale = (sigma) => {
  const alpha = Math.fround(1 / Math.fround(Math.sqrt(Math.fround(Math.fround(sigma * sigma) + 1))));
  return { alpha, sigma: Math.fround(sigma * alpha) };
};

/** Of models trained on flow matching: α + σ = 1. */
export const flowScale: SigmaScale = (sigma) => ({ alpha: Math.fround(1 - sigma), sigma });

/** A level of a run, and λ = log α − log σ: half the logarithm of its signal-to-noise ratio, in float32. */
export interface SolverLevel extends NoiseScale {
  readonly lambda: number;
}

/** How a multistep solver's runs differ in what they remember. */
export interface SolverOptions {
  readonly scale: SigmaScale;
  readonly predictionType: PredictionType | "flow_prediction";
  readonly clipping: Clipping | undefined;
  /** Whether images are remembered; else noise. */
  readonly predictsImage: boolean;
  readonly solverOrder: number;
}

/** A run whose steps also use what earlier steps predicted. */
export abstract class MultistepSchedule extends BaseSchedule {
  readonly initNoiseSigma = 1;
  /** What was predicted, the newest first, at most as many as the order of the solver. */
  protected readonly predictions: Float32Array[] = [];
  readonly #options: SolverOptions;
  /** The memory of one that is not needed any more. */
  #spare: Float32Array | undefined;

  constructor(numInferenceSteps: number, levels: Levels, options: SolverOptions) {
    super(numInferenceSteps, levels);
    this.#options = options;
  }

  predictOriginalSample(modelOutput: Float32Array, stepIndex: number, sample: Float32Array, out: Float32Array): void {
    const { predictionType, clipping } = this.#options;
    const scale = this.scale(stepIndex);
    if (predictionType === "flow_prediction") originalOfFlow(scale.sigma, modelOutput, sample, out);
    else originalOfScale(predictionType, scale, modelOutput, sample, out);
    if (clipping !== undefined) clipOriginal(clipping, out, this.imageSize ?? out.length);
  }

  protected override reset(): void {
    this.predictions.length = 0;
  }

  protected scale(stepIndex: number): NoiseScale {
    return this.#options.scale(this.sigma(stepIndex));
  }

  protected level(stepIndex: number): SolverLevel {
    const { alpha, sigma } = this.scale(stepIndex);
    return { alpha, sigma, lambda: Math.fround(Math.fround(Math.log(alpha)) - Math.fround(Math.log(sigma))) };
  }

  /** What this step's output says, image or noise; {@link remember} keeps it for the steps that follow. */
  protected predict(modelOutput: Float32Array, stepIndex: number, sample: Float32Array): Float32Array {
    const { predictionType, clipping, predictsImage } = this.#options;
    const prediction = this.#spare?.length === sample.length ? this.#spare : new Float32Array(sample.length);
    this.#spare = undefined;
    if (predictsImage) {
      this.predictOriginalSample(modelOutput, stepIndex, sample, prediction);
    } else if (predictionType !== "flow_prediction" && !clipping?.thresholding) {
      noiseOfScale(predictionType, this.scale(stepIndex), modelOutput, sample, prediction);
    } else {
      this.predictOriginalSample(modelOutput, stepIndex, sample, prediction);
      noiseOfScale("sample", this.scale(stepIndex), prediction, sample, prediction);
    }
    return prediction;
  }

  protected remember(prediction: Float32Array): void {
    this.predictions.unshift(prediction);
    if (this.predictions.length > this.#options.solverOrder) this.#spare = this.predictions.pop();
  }
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
