import { z } from "zod";
import { invalidJob, unsupportedOption } from "#pipelines/core/errors.ts";
import { BaseSchedule, type Levels, type NoiseScale } from "./base-schedule.ts";
import { alphasCumprod, linspace32, trainingSigmas } from "./noise-schedule.ts";
import type { Schedule, Scheduler } from "./scheduler.ts";
import { interpolate, respacedSigmas, spacedTimesteps, timestepOfSigma } from "./spacing.ts";

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
 * @throws PipelineError UNSUPPORTED_OPTION when the config requests a variant that is not here
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
    return new EulerSchedule(this.#config, numInferenceSteps, { timesteps, sigmas: Float32Array.of(...sigmas, last) });
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

class EulerSchedule extends BaseSchedule {
  readonly initNoiseSigma: number;
  readonly #predictionType: EulerDiscreteConfig["prediction_type"];

  constructor(config: EulerDiscreteConfig, steps: number, levels: Levels) {
    super(steps, levels);
    this.#predictionType = config.prediction_type;
    const largest = levels.sigmas.reduce((a, b) => Math.max(a, b), 0);
    this.initNoiseSigma = config.timestep_spacing === "leading" ? rootOfSquarePlusOne(largest) : largest;
  }

  override scaleModelInput(sample: Float32Array, stepIndex: number, out: Float32Array): void {
    const divisor = rootOfSquarePlusOne(this.sigma(stepIndex));
    for (let index = 0; index < sample.length; index++) out[index] = (sample[index] ?? 0) / divisor;
  }

  /** x ← x + (x − x₀)/σ · (σ_next − σ) */
  step(modelOutput: Float32Array, stepIndex: number, sample: Float32Array, out: Float32Array): void {
    const sigma = this.sigma(stepIndex);
    const dt = Math.fround(this.sigma(stepIndex + 1) - sigma);
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
    const [outputFactor, sampleFactor] = this.#originalSampleFactors(this.sigma(stepIndex));
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

  protected scale(stepIndex: number): NoiseScale {
    return { alpha: 1, sigma: this.sigma(stepIndex) };
  }
}

function checkSupported(config: EulerDiscreteConfig): void {
  const unsupported = {
    use_beta_sigmas: config.use_beta_sigmas === true,
    "timestep_type continuous": config.timestep_type === "continuous" && config.prediction_type === "v_prediction",
  };
  const unknown = Object.entries(unsupported).flatMap(([name, isSet]) => (isSet ? [name] : []));
  if (unknown.length > 0) {
    throw unsupportedOption(`EulerDiscreteScheduler runs without ${unknown.join(", ")}; change scheduler_config.json`);
  }
}

/** √(σ² + 1) in float32. */
function rootOfSquarePlusOne(sigma: number): number {
  return Math.fround(Math.sqrt(Math.fround(Math.fround(sigma * sigma) + 1)));
}
