/** How far the prediction is pushed away from the unconditional one. */
export interface Guidance {
  /** Up to 1: no guidance, and half the computation. */
  readonly scale: number;
  /** 0 (nothing changes) to 1, see {@link rescaleGuidance}. */
  readonly rescale: number;
}

/**
 * Classifier-free guidance: `out = uncond + scale · (cond − uncond)` (Ho and Salimans, "Classifier-Free Diffusion
 * Guidance", 2022, in the form of equation 2 of the Imagen paper that diffusers uses).
 * @param out receives the result; may be either of the two
 */
export function combineGuidance(
  unconditional: Float32Array,
  conditional: Float32Array,
  scale: number,
  out: Float32Array,
): void {
  if (unconditional.length !== out.length || conditional.length !== out.length) {
    const lengths = `${unconditional.length} and ${conditional.length}`;
    throw new RangeError(`guidance needs ${out.length} values of each prediction, not ${lengths}`);
  }
  const scale32 = Math.fround(scale);
  for (let index = 0; index < out.length; index++) {
    const base = unconditional[index] ?? 0;
    const difference = Math.fround((conditional[index] ?? 0) - base);
    out[index] = base + Math.fround(scale32 * difference);
  }
}

/**
 * Scales a guided prediction back towards the spread of the conditional one (Lin et al., "Common Diffusion Noise
 * Schedules and Sample Steps are Flawed", 2023, equations 14 to 16): `g · x·σ_cond/σ_x + (1 − g) · x`, image by image.
 * @param guided `[batch, …]`, changed in place
 * @param conditional `[batch, …]`
 * @param amount g, from 0 (nothing changes) to 1
 */
export function rescaleGuidance(guided: Float32Array, conditional: Float32Array, batch: number, amount: number): void {
  const size = guided.length / batch;
  for (let image = 0; image < batch; image++) {
    const part = guided.subarray(image * size, (image + 1) * size);
    const reference = conditional.subarray(image * size, (image + 1) * size);
    const ratio = Math.fround(standardDeviation(reference) / standardDeviation(part));
    for (let index = 0; index < size; index++) {
      const value = part[index] ?? 0;
      part[index] = Math.fround(amount * Math.fround(value * ratio)) + Math.fround((1 - amount) * value);
    }
  }
}

/** With Bessel's correction, as `torch.std` computes it. */
function standardDeviation(data: Float32Array): number {
  let sum = 0;
  for (let index = 0; index < data.length; index++) sum += data[index] ?? 0;
  const mean = sum / data.length;
  let squares = 0;
  for (let index = 0; index < data.length; index++) squares += ((data[index] ?? 0) - mean) ** 2;
  return Math.sqrt(squares / (data.length - 1));
}
