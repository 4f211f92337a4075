import type { RunStart, Schedule, StepNoise } from "./scheduler.ts";

/** Noise levels of a run: one more of `sigmas` than of `timesteps`. */
export interface Levels {
  readonly timesteps: Float32Array;
  readonly sigmas: Float32Array;
}

/** α and σ of latents at a noise level, which are α·image + σ·noise. */
export interface NoiseScale {
  readonly alpha: number;
  readonly sigma: number;
}

/** What all runs share: their levels, where they begin, and how much noise latents have at each level. */
export abstract class BaseSchedule implements Schedule {
  readonly numInferenceSteps: number;
  readonly order: number = 1;
  readonly timesteps: Float32Array;
  readonly sigmas: Float32Array;
  abstract readonly initNoiseSigma: number;
  /** Values of one image; undefined: all that a step is given. */
  protected imageSize: number | undefined;
  /** Index of the run's first call, and of the next one where calls have to come in order. */
  protected firstStep = 0;
  #nextStep = 0;

  constructor(numInferenceSteps: number, { timesteps, sigmas }: Levels) {
    this.numInferenceSteps = numInferenceSteps;
    this.timesteps = timesteps;
    this.sigmas = sigmas;
  }

  /** @throws RangeError when the run cannot begin there */
  begin({ stepIndex = 0, imageSize }: RunStart = {}): void {
    if (stepIndex % this.order !== 0 || stepIndex < 0 || stepIndex >= this.timesteps.length) {
      const multiple = this.order === 1 ? "an index" : `a multiple of ${this.order}`;
      throw new RangeError(
        `a run of ${this.timesteps.length} calls begins at ${multiple} below that, not ${stepIndex}`,
      );
    }
    this.imageSize = imageSize;
    this.firstStep = stepIndex;
    this.#nextStep = stepIndex;
    this.reset();
  }

  addNoise(original: Float32Array, noise: Float32Array, stepIndex: number, out: Float32Array): void {
    const { alpha, sigma } = this.scale(stepIndex);
    for (let index = 0; index < out.length; index++) {
      out[index] = Math.fround(alpha * (original[index] ?? 0)) + Math.fround(sigma * (noise[index] ?? 0));
    }
  }

  noiseFor(_stepIndex: number): StepNoise | undefined {
    return undefined;
  }

  /** Latents whose scale does not depend on the level are the model's input as they are. */
  scaleModelInput(sample: Float32Array, _stepIndex: number, out: Float32Array): void {
    out.set(sample);
  }

  abstract step(
    modelOutput: Float32Array,
    stepIndex: number,
    sample: Float32Array,
    out: Float32Array,
    noise?: Float32Array,
  ): void;

  abstract predictOriginalSample(
    modelOutput: Float32Array,
    stepIndex: number,
    sample: Float32Array,
    out: Float32Array,
  ): void;

  /** Of the latents before the call at this index. */
  protected abstract scale(stepIndex: number): NoiseScale;

  /** Forgets what earlier steps left. */
  protected reset(): void {}

  /** @throws RangeError when the step is not the next one, of solvers that remember the steps before */
  protected take(stepIndex: number): void {
    if (stepIndex !== this.#nextStep) {
      throw new RangeError(`the next step is ${this.#nextStep}, not ${stepIndex}; this solver takes them in order`);
    }
    this.#nextStep = stepIndex + 1;
  }

  protected sigma(index: number): number {
    const sigma = this.sigmas[index];
    if (sigma === undefined) throw new RangeError(`step ${index} is outside of ${this.timesteps.length} steps`);
    return sigma;
  }
}
