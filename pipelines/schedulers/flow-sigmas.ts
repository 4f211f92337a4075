import { invalidJob } from "#pipelines/core/errors.ts";
import { type FlowConfig, flowShift } from "./flow-config.ts";

/**
 * The noise levels of a flow-matching run. A sample is (1 − σ)·image + σ·noise (Lipman et al., "Flow Matching for
 * Generative Modeling", 2023), so σ falls from 1 to 0, and a timestep is σ times the number of training steps.
 */
export interface FlowLevels {
  readonly timesteps: Float32Array;
  /** One more than `timesteps`; the last is 0. */
  readonly sigmas: Float32Array;
}

/** diffusers' levels of `UniPCMultistepScheduler`: evenly spaced, shifted, and never quite 1, where log(1 − σ) ends. */
export function unipcLevels(config: FlowConfig, steps: number): FlowLevels {
  checkSteps(config, steps);
  const even = linspace(1, 1 / config.num_train_timesteps, steps + 1).slice(0, -1);
  const sigmas = stretched(config, shifted(even, flowShift(config)));
  const margin = 1e-6;
  const first = sigmas[0] ?? 0;
  if (Math.abs(first - 1) < margin) sigmas[0] = first - margin;
  return { timesteps: wholeTimesteps(config, sigmas), sigmas: Float32Array.of(...sigmas, 0) };
}

/** diffusers' levels of `DPMSolverMultistepScheduler`: those of UniPC counted from the other end, so from 0.999. */
export function dpmSolverLevels(config: FlowConfig, steps: number): FlowLevels {
  checkSteps(config, steps);
  const even = linspace(1, 1 / config.num_train_timesteps, steps + 1).map((alpha) => 1 - alpha);
  const sigmas = shifted(even, flowShift(config)).reverse().slice(0, -1);
  return { timesteps: wholeTimesteps(config, sigmas), sigmas: Float32Array.of(...sigmas, 0) };
}

/**
 * diffusers' levels of `FlowMatchEulerDiscreteScheduler`: the shift is applied twice at the lower end, to the smallest
 * training level and to what is spaced down to it. Timesteps are fractional.
 */
export function flowMatchLevels(config: FlowConfig, steps: number): FlowLevels {
  checkSteps(config, steps);
  const trained = config.num_train_timesteps;
  const shift = flowShift(config);
  const smallest = shifted32(Math.fround(1 / trained), shift);
  const even = linspace(trained, smallest * trained, steps).map((timestep) => timestep / trained);
  const sigmas = Float32Array.from(stretched(config, shifted(even, shift)));
  return { timesteps: sigmas.map((sigma) => sigma * trained), sigmas: Float32Array.of(...sigmas, 0) };
}

/** s·σ / (1 + (s − 1)·σ) (Esser et al., "Scaling Rectified Flow Transformers", 2024, equation 23). */
function shifted(sigmas: Float64Array, shift: number): Float64Array {
  return sigmas.map((sigma) => (shift * sigma) / (1 + (shift - 1) * sigma));
}

/** {@link shifted} as PyTorch computes it in float32. */
function shifted32(sigma: number, shift: number): number {
  return Math.fround(Math.fround(shift * sigma) / Math.fround(1 + Math.fround((shift - 1) * sigma)));
}

/** Stretched so that the last level is `shift_terminal`, where the config has one. */
function stretched(config: FlowConfig, sigmas: Float64Array): Float64Array {
  const last = sigmas[sigmas.length - 1] ?? 0;
  if (!config.shift_terminal) return sigmas;
  const factor = (1 - last) / (1 - config.shift_terminal);
  return sigmas.map((sigma) => 1 - (1 - sigma) / factor);
}

function wholeTimesteps(config: FlowConfig, sigmas: Float64Array): Float32Array {
  return Float32Array.from(sigmas, (sigma) => Math.trunc(sigma * config.num_train_timesteps));
}

/** `np.linspace` */
function linspace(start: number, end: number, count: number): Float64Array {
  const step = count > 1 ? (end - start) / (count - 1) : 0;
  return Float64Array.from({ length: count }, (_, index) =>
    index === count - 1 && count > 1 ? end : index * step + start,
  );
}

function checkSteps(config: FlowConfig, steps: number): void {
  const trained = config.num_train_timesteps;
  if (!Number.isInteger(steps) || steps < 1 || steps > trained) {
    throw invalidJob(`num_inference_steps must be a whole number from 1 to ${trained}, not ${steps}`);
  }
}
