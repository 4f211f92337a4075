import { setImmediate } from "node:timers/promises";
import { numericalError } from "#pipelines/core/errors.ts";
import { elementCount, isFiniteData, type Tensor, tensor } from "#pipelines/core/tensor.ts";
import type { Schedule } from "#pipelines/schedulers/scheduler.ts";
import type { NoiseSource } from "./noise.ts";

/**
 * The denoiser's prediction for these latents after guidance, of their shape; it need only be valid until the next call.
 * It scales its input by {@link Schedule.scaleModelInput}.
 */
type Predict = (latents: Tensor, stepIndex: number) => Promise<Tensor>;

/** The other model begins its run anew: solvers forget what the steps before have left. */
export interface HandOver {
  /** Index in the schedule after the first model's last call. */
  readonly end: number;
  /** Index of the other model's first call. Solvers of order 2 may be cut off in a step, which is then run once more. */
  readonly start: number;
  readonly predict: Predict;
}

export interface DenoiseRequest {
  readonly schedule: Schedule;
  /** What the first step starts from, `[batch, …]`; overwritten. Of a whole run: noise times the schedule's `initNoiseSigma`. */
  readonly latents: Tensor;
  /** Index in the schedule of the first step that is run, for latents that hold less noise; 0 when absent. */
  readonly startStep?: number | undefined;
  readonly predict: Predict;
  /** Where another model goes on; when absent, one runs all steps. */
  readonly handOver?: HandOver | undefined;
  /** Steps before which a solver forgets what the steps before have left, since their predictions lead elsewhere. */
  readonly turns?: ReadonlySet<number> | undefined;
  /** From which steps that need noise draw it; what drew the first latents, so that it goes on after them. */
  readonly noise?: NoiseSource | undefined;
  /** Changes the latents that a step has made, in place: what keeps parts of a picture as they are. */
  readonly afterStep?: ((latents: Tensor, stepIndex: number) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Called after every step; the tensors are only valid until it returns. */
  onStep?(step: DenoiseStep): void;
}

export interface DenoiseStep {
  /** Calls of the model done, counted from 1, of those that are run. */
  readonly step: number;
  readonly total: number;
  /** The same in inference steps, as people count them: solvers of order 2 call the model twice in each but the last. */
  readonly inferenceStep: number;
  readonly inferenceSteps: number;
  /** The step's place in the schedule, counted from 0. */
  readonly stepIndex: number;
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
  const { schedule, signal, latents, startStep = 0 } = request;
  const calls = callsOf(request);
  const total = calls.length;
  const inferenceSteps = schedule.numInferenceSteps - Math.floor(startStep / schedule.order);
  const imageDims = latents.dims.slice(1);
  let sample = latents;
  let next = tensor(new Float32Array(latents.data.length), latents.dims);
  for (const [index, { stepIndex, begins, predict }] of calls.entries()) {
    const step = index + 1;
    signal?.throwIfAborted();
    if (begins) schedule.begin({ stepIndex, imageSize: elementCount(imageDims) });
    const noisePrediction = await predict(sample, stepIndex);
    // A scheduler that clips would make a number of infinity.
    if (!isFiniteData(noisePrediction.data)) throw stepError(`the model's prediction in step ${step} of ${total}`);
    const drawn = request.noise?.forStep(schedule.noiseFor(stepIndex), imageDims);
    schedule.step(noisePrediction.data, stepIndex, sample.data, next.data, drawn);
    if (!isFiniteData(next.data)) throw stepError(`the latents after step ${step} of ${total}`);
    request.afterStep?.(next, stepIndex);
    const inferenceStep = Math.floor((step * inferenceSteps) / total);
    request.onStep?.({ step, total, inferenceStep, inferenceSteps, stepIndex, sample, noisePrediction, latents: next });
    [sample, next] = [next, sample];
    // Messages of the dispatcher (cancel, shutdown) come in between steps only.
    await setImmediate();
  }
  signal?.throwIfAborted();
  return sample;
}

interface Call {
  readonly stepIndex: number;
  /** The first one of its model, or of another course. */
  readonly begins: boolean;
  readonly predict: Predict;
}

/** All calls of the models, in their order. */
function callsOf({ schedule, startStep = 0, predict, handOver, turns }: DenoiseRequest): Call[] {
  const all = schedule.timesteps.length;
  const calls = (start: number, end: number, model: Predict): Call[] =>
    Array.from({ length: Math.max(end - start, 0) }, (_, index) => ({
      stepIndex: start + index,
      begins: index === 0 || turns?.has(start + index) === true,
      predict: model,
    }));
  if (handOver === undefined) return calls(startStep, all, predict);
  const other = calls(Math.max(handOver.start, startStep), all, handOver.predict);
  return [...calls(startStep, handOver.end, predict), ...other];
}

function stepError(where: string): Error {
  return numericalError(
    where,
    "Weights that overflow in float16 do this, or a guidance scale far out of range: export the model in float32, or lower the guidance scale.",
  );
}
