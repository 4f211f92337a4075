import { z } from "zod";
import { invalidJob, unsupportedOption } from "../errors.ts";
import { alphasCumprod, linspace32, trainingSigmas } from "./noise-schedule.ts";
import type { Schedule, Scheduler } from "./scheduler.ts";

/** `scheduler_config.json` with diffusers' defaults; keys of other schedulers and of diffusers itself are let through. */
export const eulerDiscreteConfig = z.object({
  num_train_timesteps: z.int().positive().default(1000),
  beta_start: z.number().default(0.0001),
  beta_end: z.number().default(0.02),
  beta_schedule: z.enum(["linear", "scaled_linear", "squaredcos_cap_v2"]).default("linear"),
  trained_betas: z.array(z.number()).nullish(),
  prediction_type: z.enum(["epsilon", "sample", "original_sample", "v_prediction"]).default("epsilon"),
  interpolation_type: z.enum(["linear", "log_linear"]).default("linear"),
  use_karras_sigmas: z.boolean().nullish(),
  use_exponential_sigmas: z.boolean().nullish(),
  use_beta_sigmas: z.boolean().nullish(),
  sigma_min: z.number().nullish(),
  sigma_max: z.number().nullish(),
  timestep_spacing: z.enum(["linspace", "leading", "trailing"]).default("linspace"),
  timestep_type: z.enum(["discrete", "continuous"]).default("discrete"),
  steps_offset: z.int().default(0),
  rescale_betas_zero_snr: z.boolean().default(false),
  final_sigmas_type: z.enum(["zero", "sigma_min"]).default("zero"),
});

export type EulerDiscreteConfig = z.output<typeof eulerDiscreteConfig>;

/**
 * diffusers' `EulerDiscreteScheduler`: algorithm 2 of Karras et al., "Elucidating the Design Space of Diffusion-Based
 * Generative Models" (2022), without churn. Timesteps and sigmas agree with diffusers within 1e-5.
 * @throws PipelineError UNSUPPORTED_OPTION when the config asks for a variant that is not here
 */
export class EulerDiscreteScheduler implements Scheduler {
  readonly className = "EulerDiscreteScheduler";
  readonly #config: EulerDiscreteConfig;
  readonly #sigmas: Float32Array;

  constructor(config: EulerDiscreteConfig) {
    checkSupported(config);
    this.#config = config;
    this.#sigmas = trainingSigmas(alphasCumprod(config));
  }

  schedule(numInferenceSteps: number): Schedule {
    const trained = this.#config.num_train_timesteps;
    if (!Number.isInteger(numInferenceSteps) || numInferenceSteps < 1 || numInferenceSteps > trained) {
      throw invalidJob(`num_inference_steps must be a whole number from 1 to ${trained}, not ${numInferenceSteps}`);
    }
    const spaced = spacedTimesteps(this.#config, numInferenceSteps);
    const base = this.#baseSigmas(spaced);
    const sigmas = respacedSigmas(this.#config, base, numInferenceSteps);
    const timesteps = sigmas === base ? spaced : this.#timestepsOf(sigmas);
    const last = this.#config.final_sigmas_type === "sigma_min" ? (this.#sigmas[0] ?? 0) : 0;
    return new EulerSchedule(this.#config, timesteps, Float32Array.of(...sigmas, last));
  }

  /** Sigmas at the timesteps; `log_linear` ignores them and, in diffusers too, has one more. */
  #baseSigmas(timesteps: Float32Array): Float64Array {
    if (this.#config.interpolation_type === "linear") {
      return Float64Array.from(timesteps, (timestep) => interpolate(this.#sigmas, timestep));
    }
    const smallest = this.#sigmas[0] ?? 0;
    const largest = this.#sigmas[this.#sigmas.length - 1] ?? 0;
    const logarithms = linspace32(Math.log(largest), Math.log(smallest), timesteps.length + 1);
    return Float64Array.from(logarithms, (logarithm) => Math.fround(Math.exp(logarithm)));
  }

  #timestepsOf(sigmas: Float64Array): Float32Array {
    const logSigmas = this.#sigmas.map(Math.log);
    return Float32Array.from(sigmas, (sigma) => timestepOfSigma(sigma, logSigmas));
  }
}

class EulerSchedule implements Schedule {
  readonly timesteps: Float32Array;
  readonly sigmas: Float32Array;
  readonly initNoiseSigma: number;
  readonly #predictionType: EulerDiscreteConfig["prediction_type"];

  constructor(config: EulerDiscreteConfig, timesteps: Float32Array, sigmas: Float32Array) {
    this.timesteps = timesteps;
    this.sigmas = sigmas;
    this.#predictionType = config.prediction_type;
    const largest = sigmas.reduce((a, b) => Math.max(a, b), 0);
    this.initNoiseSigma = config.timestep_spacing === "leading" ? rootOfSquarePlusOne(largest) : largest;
  }

  scaleModelInput(sample: Float32Array, stepIndex: number, out: Float32Array): void {
    const divisor = rootOfSquarePlusOne(this.#sigma(stepIndex));
    for (let index = 0; index < sample.length; index++) out[index] = (sample[index] ?? 0) / divisor;
  }

  /** x ← x + (x − x₀)/σ · (σ_next − σ) */
  step(modelOutput: Float32Array, stepIndex: number, sample: Float32Array, out: Float32Array): void {
    const sigma = this.#sigma(stepIndex);
    const dt = Math.fround(this.#sigma(stepIndex + 1) - sigma);
    const [outputFactor, sampleFactor] = this.#originalSampleFactors(sigma);
    for (let index = 0; index < sample.length; index++) {
      const x = sample[index] ?? 0;
      const original = Math.fround(
        Math.fround(x * sampleFactor) + Math.fround((modelOutput[index] ?? 0) * outputFactor),
      );
      const derivative = Math.fround(Math.fround(x - original) / sigma);
      out[index] = x + Math.fround(derivative * dt);
    }
  }

  predictOriginalSample(modelOutput: Float32Array, stepIndex: number, sample: Float32Array, out: Float32Array): void {
    const [outputFactor, sampleFactor] = this.#originalSampleFactors(this.#sigma(stepIndex));
    for (let index = 0; index < sample.length; index++) {
      out[index] = (sample[index] ?? 0) * sampleFactor + (modelOutput[index] ?? 0) * outputFactor;
    }
  }

  /**
   * x₀ as a combination of model output and sample. epsilon: x₀ = x − σ·ε. v: x₀ = −σ/√(σ²+1)·v + x/(σ²+1)
   * (Salimans and Ho, "Progressive Distillation", 2022, in the variance-exploding scale of k-diffusion).
   */
  #originalSampleFactors(sigma: number): readonly [output: number, sample: number] {
    switch (this.#predictionType) {
      case "epsilon":
        return [-sigma, 1];
      case "v_prediction":
        return [Math.fround(-sigma / rootOfSquarePlusOne(sigma)), Math.fround(1 / (sigma * sigma + 1))];
      case "sample":
      case "original_sample":
        return [1, 0];
    }
  }

  #sigma(index: number): number {
    const sigma = this.sigmas[index];
    if (sigma === undefined) throw new RangeError(`step ${index} is outside of ${this.timesteps.length} steps`);
    return sigma;
  }
}

function checkSupported(config: EulerDiscreteConfig): void {
  const unsupported = {
    use_beta_sigmas: config.use_beta_sigmas === true,
    "timestep_type continuous": config.timestep_type === "continuous" && config.prediction_type === "v_prediction",
  };
  const asked = Object.entries(unsupported).flatMap(([name, isAsked]) => (isAsked ? [name] : []));
  if (asked.length > 0) {
    throw unsupportedOption(`EulerDiscreteScheduler runs without ${asked.join(", ")}; change scheduler_config.json`);
  }
}

/** Timesteps of a run, from noise to image (table 2 of Lin et al., 2023, with NumPy's rounding). */
function spacedTimesteps(config: EulerDiscreteConfig, count: number): Float32Array {
  const trained = config.num_train_timesteps;
  switch (config.timestep_spacing) {
    case "linspace": {
      const step = count > 1 ? (trained - 1) / (count - 1) : 0;
      return Float32Array.from({ length: count }, (_, index) => (count - 1 - index) * step);
    }
    case "leading": {
      const ratio = Math.floor(trained / count);
      return Float32Array.from({ length: count }, (_, index) => (count - 1 - index) * ratio + config.steps_offset);
    }
    case "trailing": {
      // np.arange(trained, 0, -ratio). Where the ratio is not exact this yields one step more than asked for at a few
      // counts (61, 103, 121 … of 1000), and so it does in diffusers.
      const ratio = trained / count;
      const delta = trained - ratio - trained;
      const length = Math.ceil(-trained / -ratio);
      return Float32Array.from({ length }, (_, index) => roundHalfEven(trained + index * delta) - 1);
    }
  }
}

/**
 * Sigmas spread anew between the largest and the smallest: by σ^(1/ρ), ρ = 7 (Karras et al., 2022, equation 5), or by
 * log σ. Without either, the same array.
 */
function respacedSigmas(config: EulerDiscreteConfig, sigmas: Float64Array, count: number): Float64Array {
  const maximum = config.sigma_max ?? sigmas[0] ?? 0;
  const minimum = config.sigma_min ?? sigmas[sigmas.length - 1] ?? 0;
  const spread = (from: number, to: number, shape: (value: number) => number) =>
    Float64Array.from({ length: count }, (_, index) => {
      const ramp = count > 1 ? index / (count - 1) : 0;
      return shape(from + ramp * (to - from));
    });
  const rho = 7;
  if (config.use_karras_sigmas) return spread(maximum ** (1 / rho), minimum ** (1 / rho), (root) => root ** rho);
  if (config.use_exponential_sigmas) return spread(Math.log(maximum), Math.log(minimum), Math.exp);
  return sigmas;
}

/** Value of a table at a fractional index, clamped to its ends (`np.interp`). */
function interpolate(table: Float32Array, position: number): number {
  const clamped = Math.min(Math.max(position, 0), table.length - 1);
  const low = Math.floor(clamped);
  const lowValue = table[low] ?? 0;
  const slope = (table[low + 1] ?? lowValue) - lowValue;
  return slope * (clamped - low) + lowValue;
}

/** The fractional timestep whose training sigma is `sigma`, by linear interpolation of the logarithms. */
function timestepOfSigma(sigma: number, logSigmas: Float32Array): number {
  const logSigma = Math.log(Math.max(sigma, 1e-10));
  let low = 0;
  while (low < logSigmas.length - 2 && (logSigmas[low + 1] ?? 0) <= logSigma) low++;
  const lowValue = logSigmas[low] ?? 0;
  const highValue = logSigmas[low + 1] ?? lowValue;
  const weight = Math.min(Math.max((lowValue - logSigma) / (lowValue - highValue), 0), 1);
  return (1 - weight) * low + weight * (low + 1);
}

/** √(σ² + 1) in float32. */
function rootOfSquarePlusOne(sigma: number): number {
  return Math.fround(Math.sqrt(Math.fround(Math.fround(sigma * sigma) + 1)));
}

/** Rounds as IEEE 754 and NumPy do: a half goes to the even neighbour. */
function roundHalfEven(value: number): number {
  const floor = Math.floor(value);
  const fraction = value - floor;
  if (fraction !== 0.5) return Math.round(value);
  return floor % 2 === 0 ? floor : floor + 1;
}
