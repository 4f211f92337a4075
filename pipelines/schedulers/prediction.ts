import type { NoiseScale } from "./base-schedule.ts";

/**
 * What the model's output says about image and noise, in float32 as torch rounds: the samples of a run agree with diffusers
 * in all but the last digits. `out` may be either input.
 */
export type PredictionType = "epsilon" | "sample" | "v_prediction";

/**
 * x₀ of latents image + σ·noise. epsilon: x − σ·ε. v: −σ/√(σ²+1)·v + x/(σ²+1) (Salimans and Ho, "Progressive
 * Distillation", 2022, in the scale of k-diffusion).
 */
export function originalOfSigma(
  type: PredictionType,
  sigma: number,
  modelOutput: Float32Array,
  sample: Float32Array,
  out: Float32Array,
): void {
  if (type === "sample") {
    out.set(modelOutput);
    return;
  }
  const squarePlusOne = Math.fround(Math.fround(sigma * sigma) + 1);
  const isVelocity = type === "v_prediction";
  const outputFactor = isVelocity ? Math.fround(-sigma / Math.fround(Math.sqrt(squarePlusOne))) : -sigma;
  const divisor = isVelocity ? squarePlusOne : 1;
  for (let index = 0; index < out.length; index++) {
    const scaled = Math.fround(outputFactor * (modelOutput[index] ?? 0));
    out[index] = scaled + Math.fround((sample[index] ?? 0) / divisor);
  }
}

/** x₀ of latents α·image + σ·noise: (x − σ·ε)/α, or α·x − σ·v. */
export function originalOfScale(
  type: PredictionType,
  { alpha, sigma }: NoiseScale,
  modelOutput: Float32Array,
  sample: Float32Array,
  out: Float32Array,
): void {
  if (type === "sample") {
    out.set(modelOutput);
    return;
  }
  const isVelocity = type === "v_prediction";
  const factor = isVelocity ? alpha : 1;
  const divisor = isVelocity ? 1 : alpha;
  for (let index = 0; index < out.length; index++) {
    const kept = Math.fround(factor * (sample[index] ?? 0));
    out[index] = Math.fround(kept - Math.fround(sigma * (modelOutput[index] ?? 0))) / divisor;
  }
}

/** ε of the same latents: (x − α·x₀)/σ, or α·v + σ·x. */
export function noiseOfScale(
  type: PredictionType,
  { alpha, sigma }: NoiseScale,
  modelOutput: Float32Array,
  sample: Float32Array,
  out: Float32Array,
): void {
  if (type === "epsilon") {
    out.set(modelOutput);
    return;
  }
  const isVelocity = type === "v_prediction";
  for (let index = 0; index < out.length; index++) {
    const output = Math.fround(alpha * (modelOutput[index] ?? 0));
    const x = sample[index] ?? 0;
    out[index] = isVelocity ? output + Math.fround(sigma * x) : Math.fround(x - output) / sigma;
  }
}

/** x₀ = x − σ·v of latents (1 − σ)·image + σ·noise, where v is noise − image. */
export function originalOfFlow(
  sigma: number,
  modelOutput: Float32Array,
  sample: Float32Array,
  out: Float32Array,
): void {
  for (let index = 0; index < out.length; index++) {
    out[index] = (sample[index] ?? 0) - Math.fround(sigma * (modelOutput[index] ?? 0));
  }
}
