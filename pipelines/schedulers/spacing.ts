import { invalidJob } from "#pipelines/core/errors.ts";
import { roundHalfEven } from "#pipelines/core/round-half-even.ts";
import { betaQuantile } from "./beta-quantile.ts";

/** Where on the training schedule the steps of a run lie. */

export interface TimestepSpacing {
  readonly num_train_timesteps: number;
  readonly timestep_spacing: "linspace" | "leading" | "trailing";
  readonly steps_offset: number;
}

export interface SigmaSpacing {
  readonly use_karras_sigmas?: boolean | null | undefined;
  readonly use_exponential_sigmas?: boolean | null | undefined;
  readonly use_beta_sigmas?: boolean | null | undefined;
  readonly sigma_min?: number | null | undefined;
  readonly sigma_max?: number | null | undefined;
}

/** @throws PipelineError INVALID_JOB when a run cannot have as many steps */
export function checkSteps(steps: number, max: number): void {
  if (Number.isInteger(steps) && steps >= 1 && steps <= max) return;
  throw invalidJob(`num_inference_steps must be a whole number from 1 to ${max}, not ${steps}`);
}

/** Timesteps of a run, from noise to image (table 2 of Lin et al., 2023, with NumPy's rounding). */
export function spacedTimesteps(config: TimestepSpacing, count: number): Float32Array {
  const trained = config.num_train_timesteps;
  switch (config.timestep_spacing) {
    case "linspace":
      return Float32Array.from(linspace(0, trained - 1, count)).reverse();
    case "leading":
      return leadingTimesteps(Math.floor(trained / count), config.steps_offset, count);
    case "trailing":
      return trailingTimesteps(trained, trained / count);
  }
}

/** The same in whole numbers, as schedulers need them that look ᾱ up at a timestep. */
export function wholeTimesteps(config: TimestepSpacing, count: number): Float32Array {
  if (config.timestep_spacing !== "linspace") return spacedTimesteps(config, count);
  return Float32Array.from(linspace(0, config.num_train_timesteps - 1, count), roundHalfEven).reverse();
}

/**
 * Timesteps of the multistep solvers: one more step is spaced, and the last one, next to the image, is left out.
 * @param end one more than the last timestep that counts
 */
export function solverTimesteps(
  config: TimestepSpacing,
  count: number,
  end = config.num_train_timesteps,
): Float32Array {
  switch (config.timestep_spacing) {
    case "linspace":
      return Float32Array.from(linspace(0, end - 1, count + 1), roundHalfEven)
        .reverse()
        .subarray(0, count);
    case "leading":
      return leadingTimesteps(Math.floor(end / (count + 1)), config.steps_offset, count + 1).subarray(0, count);
    case "trailing":
      return trailingTimesteps(end, config.num_train_timesteps / count);
  }
}

function leadingTimesteps(ratio: number, offset: number, count: number): Float32Array {
  return Float32Array.from({ length: count }, (_, index) => (count - 1 - index) * ratio + offset);
}

function trailingTimesteps(end: number, ratio: number): Float32Array {
  // np.arange(end, 0, -ratio). Where the ratio is not exact this yields one step more than requested at a few counts (61,
  // 103, 121 … of 1000), and so it does in diffusers.
  const delta = end - ratio - end;
  const length = Math.ceil(-end / -ratio);
  return Float32Array.from({ length }, (_, index) => roundHalfEven(end + index * delta) - 1);
}

/**
 * Sigmas spread anew between the largest and the smallest: by σ^(1/ρ), ρ = 7 (Karras et al., 2022, equation 5), by log σ, or
 * by the quantiles of a beta distribution (Lee et al., "Beta Sampling is All You Need", 2024). Without any of them, the
 * same array.
 * @param sigmas falling
 */
export function respacedSigmas(config: SigmaSpacing, sigmas: Float64Array, count: number): Float64Array {
  const max = config.sigma_max ?? sigmas[0] ?? 0;
  const min = config.sigma_min ?? sigmas[sigmas.length - 1] ?? 0;
  const ramp = linspace(0, 1, count);
  const rho = 7;
  if (config.use_karras_sigmas) {
    const [first, last] = [max ** (1 / rho), min ** (1 / rho)];
    return ramp.map((position) => (first + position * (last - first)) ** rho);
  }
  if (config.use_exponential_sigmas) return linspace(Math.log(max), Math.log(min), count).map(Math.exp);
  if (config.use_beta_sigmas) return ramp.map((position) => min + betaQuantile(1 - position, 0.6) * (max - min));
  return sigmas;
}

/** `np.linspace` in float64. */
export function linspace(start: number, end: number, count: number): Float64Array {
  const step = count > 1 ? (end - start) / (count - 1) : 0;
  return Float64Array.from({ length: count }, (_, index) =>
    index === count - 1 && count > 1 ? end : index * step + start,
  );
}

/** Value of a table at a fractional index, clamped to its ends (`np.interp`). */
export function interpolate(table: Float32Array, position: number): number {
  const clamped = Math.min(Math.max(position, 0), table.length - 1);
  const low = Math.floor(clamped);
  const lowValue = table[low] ?? 0;
  const slope = (table[low + 1] ?? lowValue) - lowValue;
  return slope * (clamped - low) + lowValue;
}

/** The fractional timestep whose training sigma is `sigma`, by linear interpolation of the logarithms. */
export function timestepOfSigma(sigma: number, logSigmas: Float32Array): number {
  const logSigma = Math.log(Math.max(sigma, 1e-10));
  let low = 0;
  while (low < logSigmas.length - 2 && (logSigmas[low + 1] ?? 0) <= logSigma) low++;
  const lowValue = logSigmas[low] ?? 0;
  const highValue = logSigmas[low + 1] ?? lowValue;
  const weight = Math.min(Math.max((lowValue - logSigma) / Math.fround(lowValue - highValue), 0), 1);
  return (1 - weight) * low + weight * (low + 1);
}
