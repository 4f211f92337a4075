import { Mt19937 } from "./mt19937.ts";

/** Below this size torch draws value by value; from it on, in blocks of 16. */
const blockSize = 16;
const halfBlock = blockSize / 2;
const twoPi = Math.fround(2 * Math.PI);

/**
 * Draws the numbers of `torch.Generator("cpu").manual_seed(seed)`, so that a seed means the same picture as in the
 * Python tools.
 */
export class TorchGenerator {
  readonly #engine: Mt19937;
  /** Box-Muller makes two normals at a time; torch keeps the second for the next draw of single values. */
  #cachedNormal: number | undefined;

  /** @param seed an integer; 64-bit seeds are cut to their low 32 bits, as torch's MT19937 does */
  constructor(seed: number | bigint) {
    this.#engine = new Mt19937(seed);
  }

  /**
   * Standard normal values: what `torch.randn(size, generator=…, dtype=torch.float32)` returns for a contiguous tensor
   * of `size` elements. Equal to torch within 1e-6; torch's own last bits depend on the vector instructions of the CPU.
   *
   * Source: `normal_kernel` in `ATen/native/cpu/DistributionTemplates.h`, `normal_distribution` and `uniform_real` in
   * `ATen/core/DistributionsHelper.h` and `ATen/core/TransformationHelper.h`; the transform is Box and Muller, "A note
   * on the generation of random normal deviates", 1958.
   */
  randn(size: number): Float32Array {
    const out = new Float32Array(size);
    if (size < blockSize) {
      for (let index = 0; index < size; index++) out[index] = this.#normalFloat64();
      return out;
    }
    this.#fillUniform(out, 0, size);
    for (let start = 0; start + blockSize <= size; start += blockSize) boxMullerBlock(out, start);
    if (size % blockSize !== 0) {
      // The tail is no whole block: torch draws the last 16 values anew instead, over those already there.
      const start = size - blockSize;
      this.#fillUniform(out, start, size);
      boxMullerBlock(out, start);
    }
    return out;
  }

  /** Uniform values in [0, 1) with 24 random bits. */
  #fillUniform(out: Float32Array, start: number, end: number): void {
    const engine = this.#engine;
    for (let index = start; index < end; index++) out[index] = (engine.nextUint32() & 0xffffff) * 2 ** -24;
  }

  /**
   * A uniform value in [0, 1) with 53 random bits, of which the first draw is the high word: what
   * `torch.rand(1, generator=…, dtype=torch.float64)` returns.
   */
  uniform(): number {
    const high = this.#engine.nextUint32() & 0x1fffff;
    return (high * 2 ** 32 + this.#engine.nextUint32()) * 2 ** -53;
  }

  #normalFloat64(): number {
    const cached = this.#cachedNormal;
    if (cached !== undefined) {
      this.#cachedNormal = undefined;
      return cached;
    }
    const u1 = this.uniform();
    const u2 = this.uniform();
    const radius = Math.sqrt(-2 * Math.log1p(-u2));
    const theta = 2 * Math.PI * u1;
    this.#cachedNormal = radius * Math.sin(theta);
    return radius * Math.cos(theta);
  }
}

/**
 * Turns 16 uniform values into 16 normals in place: value j and value j + 8 are one Box-Muller pair. Rounded to float32
 * where torch's vector code rounds.
 */
function boxMullerBlock(data: Float32Array, start: number): void {
  for (let index = start; index < start + halfBlock; index++) {
    const u1 = Math.fround(1 - (data[index] ?? 0));
    const theta = Math.fround(twoPi * (data[index + halfBlock] ?? 0));
    const radius = Math.fround(Math.sqrt(Math.fround(-2 * Math.fround(Math.log(u1)))));
    data[index] = radius * Math.fround(Math.cos(theta));
    data[index + halfBlock] = radius * Math.fround(Math.sin(theta));
  }
}
