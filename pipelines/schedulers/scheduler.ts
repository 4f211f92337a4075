/**
 * What a scheduler is: the noise schedule of a model and the rule by which one denoising step follows from the model's
 * output. Schedulers are pure: no model, no randomness of their own, and nothing that outlives one run. Latents are
 * float32 in any layout, since every operation is element by element.
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

/** The steps of one run. `stepIndex` counts from 0 and indexes `timesteps`. */
export interface Schedule {
  /** What the model gets as its noise level at each step, in the order of the run. */
  readonly timesteps: Float32Array;
  /** Standard deviation of the noise before each step, and after the last one: one more than `timesteps`. */
  readonly sigmas: Float32Array;
  /** Factor that turns standard normal noise into the latents that the run starts with. */
  readonly initNoiseSigma: number;
  /** Writes to `out` the model's input for these latents. `out` may be a part of a larger batch. */
  scaleModelInput(sample: Float32Array, stepIndex: number, out: Float32Array): void;
  /** Writes to `out` the latents after this step. `out` may be `sample`. */
  step(modelOutput: Float32Array, stepIndex: number, sample: Float32Array, out: Float32Array): void;
  /** Writes to `out` the clean latents that the model's output points at: what a preview shows. */
  predictOriginalSample(modelOutput: Float32Array, stepIndex: number, sample: Float32Array, out: Float32Array): void;
}
