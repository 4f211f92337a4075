import type { betaSchedules } from "./config.ts";

/**
 * The training noise schedule that all schedulers of diffusers start from, rounded to float32 where PyTorch rounds, so
 * that sigmas agree in the last digits.
 */

export interface NoiseScheduleConfig {
  readonly num_train_timesteps: number;
  readonly beta_start: number;
  readonly beta_end: number;
  readonly beta_schedule: (typeof betaSchedules)[number];
  readonly trained_betas?: readonly number[] | null | undefined;
  readonly rescale_betas_zero_snr?: boolean;
}

/** Close to 0 without being 0, so that the first sigma is finite; diffusers takes float16's smallest subnormal. */
const smallestAlphaCumprod = 2 ** -24;

/**
 * ᾱ_t of every training timestep (Ho et al., "Denoising Diffusion Probabilistic Models", 2020, section 2): the product
 * of 1 − β up to t, `[num_train_timesteps]`. With zero terminal SNR the last is 0.
 */
export function exactAlphasCumprod(config: NoiseScheduleConfig): Float32Array {
  const betas = trainingBetas(config);
  return cumulativeAlphas(config.rescale_betas_zero_snr ? rescaleZeroTerminalSnr(betas) : betas);
}

/** The same, never 0: for schedulers that count in sigmas. */
export function alphasCumprod(config: NoiseScheduleConfig): Float32Array {
  const result = exactAlphasCumprod(config);
  if (config.rescale_betas_zero_snr) result[result.length - 1] = smallestAlphaCumprod;
  return result;
}

/** σ_t = √((1 − ᾱ_t) / ᾱ_t) of every training timestep, in float32. */
export function trainingSigmas(alphas: Float32Array): Float32Array {
  return alphas.map((alpha) => Math.sqrt(Math.fround(Math.fround(1 - alpha) / alpha)));
}

function trainingBetas(config: NoiseScheduleConfig): Float32Array {
  if (config.trained_betas) return Float32Array.from(config.trained_betas);
  const { num_train_timesteps: count, beta_start: start, beta_end: end } = config;
  switch (config.beta_schedule) {
    case "linear":
      return linspace32(start, end, count);
    case "scaled_linear":
      return linspace32(start ** 0.5, end ** 0.5, count).map((root) => root * root);
    case "squaredcos_cap_v2":
      return cappedBetas(count, (t) => Math.cos((((t + 0.008) / 1.008) * Math.PI) / 2) ** 2);
    case "exp":
      return cappedBetas(count, (t) => Math.exp(-12 * t));
    case "laplace":
      return cappedBetas(count, laplaceAlphaBar);
    case "sigmoid":
      return linspace32(-6, 6, count).map((x) => {
        const sigmoid = Math.fround(1 / (1 + Math.exp(-x)));
        return Math.fround(sigmoid * Math.fround(end - start)) + Math.fround(start);
      });
  }
}

function laplaceAlphaBar(t: number): number {
  const lambda = -0.5 * (t > 0.5 ? -1 : 1) * Math.log(1 - 2 * Math.abs(0.5 - t) + 1e-6);
  const snr = Math.exp(lambda);
  return Math.sqrt(snr / (1 + snr));
}

/** `torch.linspace` in float32: counted from the nearer end, as torch does for symmetry. */
export function linspace32(start: number, end: number, count: number): Float32Array {
  const first = Math.fround(start);
  const last = Math.fround(end);
  const step = Math.fround(Math.fround(last - first) / (count - 1));
  return Float32Array.from({ length: count }, (_, index) =>
    index < count / 2 ? first + step * index : last - step * (count - 1 - index),
  );
}

/**
 * Betas of a curve of ᾱ, capped at 0.999; that of the cosine is of Nichol and Dhariwal, "Improved Denoising Diffusion
 * Probabilistic Models", 2021, equation 17.
 * @param alphaBar of time from 0 to 1
 */
function cappedBetas(count: number, alphaBar: (t: number) => number): Float32Array {
  return Float32Array.from({ length: count }, (_, index) =>
    Math.min(1 - alphaBar((index + 1) / count) / alphaBar(index / count), 0.999),
  );
}

/** `torch.cumprod(1 − betas)`: accumulated in float64, rounded to float32 at each element. */
function cumulativeAlphas(betas: Float32Array): Float32Array {
  let product = 1;
  return betas.map((beta) => {
    product *= Math.fround(1 - beta);
    return product;
  });
}

/**
 * Betas whose last timestep is pure noise (Lin et al., "Common Diffusion Noise Schedules and Sample Steps are Flawed",
 * 2023, algorithm 1).
 */
function rescaleZeroTerminalSnr(betas: Float32Array): Float32Array {
  const roots = cumulativeAlphas(betas).map(Math.sqrt);
  const first = roots[0] ?? 0;
  const last = roots[roots.length - 1] ?? 0;
  const factor = Math.fround(first / Math.fround(first - last));
  const alphasBar = roots.map((root) => Math.fround(Math.fround(root - last) * factor) ** 2);
  return alphasBar.map(
    (alphaBar, index) => 1 - (index === 0 ? alphaBar : Math.fround(alphaBar / (alphasBar[index - 1] ?? 1))),
  );
}
