import { setImmediate } from "node:timers/promises";
import { numericalError } from "#pipelines/core/errors.ts";
import { elementCount, isFiniteData, type Tensor, tensor } from "#pipelines/core/tensor.ts";
import type { Schedule } from "#pipelines/schedulers/scheduler.ts";
import type { NoiseSource } from "./noise.ts";

export interface DenoiseRequest {
  readonly schedule: Schedule;
  /** Noise times the schedule's `initNoiseSigma`, `[batch, …]`; overwritten. */
  readonly latents: Tensor;
  /**
   * The denoiser's prediction for these latents after guidance, of their shape; it need only be valid until the next call.
   * It scales its input by {@link Schedule.scaleModelInput}.
   */
  predict(latents: Tensor, stepIndex: number): Promise<Tensor>;
  /** From which steps that need noise draw it; what drew the first latents, so that it goes on after them. */
  readonly noise?: NoiseSource | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Called after every step; the tensors are only valid until it returns. */
  onStep?(step: DenoiseStep): void;
}

export interface DenoiseStep {
  /** Steps done, counted from 1. */
  readonly step: number;
  readonly total: number;
  /** The latents that the step started from, the prediction after guidance, and the latents that it made. */
  readonly sample: Tensor;
  readonly noisePrediction: Tensor;
  readonly latents: Tensor;
}

/**
 * The denoising loop that all families share.
 * @returns the clean latents, in the shape of `latents`
 * @throws the signal's reason when it is aborted, before the next step; PipelineError NUMERICAL_ERROR naming the step
 */
export async function denoise(request: DenoiseRequest): Promise<Tensor> {
  const { schedule, signal, latents } = request;
  const total = schedule.timesteps.length;
  const imageDims = latents.dims.slice(1);
  schedule.begin({ imageSize: elementCount(imageDims) });
  let sample = latents;
  let next = tensor(new Float32Array(latents.data.length), latents.dims);
  for (let index = 0; index < total; index++) {
    signal?.throwIfAborted();
    const noisePrediction = await request.predict(sample, index);
    const drawn = request.noise?.forStep(schedule.noiseFor(index), imageDims);
    schedule.step(noisePrediction.data, index, sample.data, next.data, drawn);
    if (!isFiniteData(next.data)) throw stepError(index, total);
    request.onStep?.({ step: index + 1, total, sample, noisePrediction, latents: next });
    [sample, next] = [next, sample];
    // Messages of the dispatcher (cancel, shutdown) come in between steps only.
    await setImmediate();
  }
  signal?.throwIfAborted();
  return sample;
}

function stepError(index: number, total: number): Error {
  return numericalError(
    `the latents after step ${index + 1} of ${total}`,
    "Weights that overflow in float16 do this, or a guidance scale far out of range.",
  );
}
