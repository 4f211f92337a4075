/**
 * What a scheduler is: the noise schedule of a model and the rule by which one denoising step follows from the model's
 * output. Schedulers are pure: no model, no randomness of their own, and nothing that outlives one run. Latents are
 * float32 in any layout, the images of a batch one after another.
 */

/** A scheduler with its configuration; it may lay out any number of runs. */
export interface Scheduler {
  /** diffusers' class name, as in `scheduler_config.json`: `EulerDiscreteScheduler`. */
  readonly className: string;
  /**
   * Lays out one run.
   * @param numInferenceSteps 1 up to the number of training timesteps
   * @throws PipelineError INVALID_JOB when the steps are out of range
   */
  schedule(numInferenceSteps: number): Schedule;
}

/**
 * The model calls of one run. `stepIndex` counts from 0 and indexes `timesteps`; a run takes its indices in order, from 0 or
 * from where {@link Schedule.begin} says.
 */
export interface Schedule {
  /** What the run was laid out for. Solvers of order 2 call the model about twice as often as this. */
  readonly numInferenceSteps: number;
  /** How many entries of `timesteps` belong to one inference step: step k of the run begins at index k · order. */
  readonly order: number;
  /** What the model gets as its noise level at each call, in the order of the run. */
  readonly timesteps: Float32Array;
  /** Ratio of noise to image before each call, and after the last one: one more than `timesteps`. */
  readonly sigmas: Float32Array;
  /** Factor that turns standard normal noise into the latents that the run starts with. */
  readonly initNoiseSigma: number;
  /** Begins a run, and forgets the one before. A new schedule is at its start already, with one image. */
  begin(run?: RunStart): void;
  /** Writes to `out` the image's latents with as much noise as the latents have before the call at `stepIndex`. */
  addNoise(original: Float32Array, noise: Float32Array, stepIndex: number, out: Float32Array): void;
  /** What the step at this index needs to be given as noise; undefined for none. */
  noiseFor(stepIndex: number): StepNoise | undefined;
  /** Writes to `out` the model's input for these latents. `out` may be a part of a larger batch. */
  scaleModelInput(sample: Float32Array, stepIndex: number, out: Float32Array): void;
  /**
   * Writes to `out` the latents after this step. `out` may be `sample`.
   * @param noise what {@link Schedule.noiseFor} describes, in the size of the sample
   */
  step(
    modelOutput: Float32Array,
    stepIndex: number,
    sample: Float32Array,
    out: Float32Array,
    noise?: Float32Array,
  ): void;
  /** Writes to `out` the clean latents that the model's output points at: what a preview shows. */
  predictOriginalSample(modelOutput: Float32Array, stepIndex: number, sample: Float32Array, out: Float32Array): void;
}

export interface RunStart {
  /** Index of the first call, 0 when absent: a multiple of `order`. */
  readonly stepIndex?: number | undefined;
  /** Values of one image's latents; all that a step is given when absent. Some schedulers treat each image by itself. */
  readonly imageSize?: number | undefined;
}

/** Noise that a step needs, one value for each of the sample's. */
export type StepNoise =
  /** Standard normal values that follow those drawn before. */
  { readonly kind: "normal" } | BrownianStep;

/**
 * The increment of a Brownian path between two sigmas, over its deviation: standard normal values too, but of runs with other
 * steps those of the same path.
 */
export interface BrownianStep {
  readonly kind: "brownian";
  readonly from: number;
  readonly to: number;
  /** Where the path begins and ends. */
  readonly smallest: number;
  readonly largest: number;
  /** The config's own seed of the path, in place of the images' seeds. */
  readonly seed: number | undefined;
}
