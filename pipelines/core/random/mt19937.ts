const stateSize = 624;
const shiftSize = 397;
const matrixA = 0x9908b0df;
const upperMask = 0x80000000;
const lowerMask = 0x7fffffff;

/**
 * The 32-bit Mersenne Twister MT19937 (Matsumoto and Nishimura, "Mersenne Twister: a 623-dimensionally equidistributed
 * uniform pseudo-random number generator", 1998), seeded as the authors' `init_genrand` does. PyTorch's CPU generator
 * uses the same engine (`ATen/core/MT19937RNGEngine.h`).
 */
export class Mt19937 {
  readonly #state = new Uint32Array(stateSize);
  #next = stateSize;

  /** @param seed the low 32 bits are used, as `torch.Generator.manual_seed` does with its 64-bit seed */
  constructor(seed: number | bigint) {
    const state = this.#state;
    let previous = low32(seed);
    state[0] = previous;
    for (let index = 1; index < stateSize; index++) {
      previous = (Math.imul(1812433253, previous ^ (previous >>> 30)) + index) >>> 0;
      state[index] = previous;
    }
  }

  /** The next number of the sequence: an integer in [0, 2^32). */
  nextUint32(): number {
    if (this.#next === stateSize) this.#twist();
    let y = this.#state[this.#next++] ?? 0;
    y ^= y >>> 11;
    y ^= (y << 7) & 0x9d2c5680;
    y ^= (y << 15) & 0xefc60000;
    y ^= y >>> 18;
    return y >>> 0;
  }

  #twist(): void {
    const state = this.#state;
    let current = state[0] ?? 0;
    for (let index = 0; index < stateSize; index++) {
      const following = state[index + 1 === stateSize ? 0 : index + 1] ?? 0;
      const mixed = (current & upperMask) | (following & lowerMask);
      const partner = index + shiftSize < stateSize ? index + shiftSize : index + shiftSize - stateSize;
      state[index] = (state[partner] ?? 0) ^ (mixed >>> 1) ^ (following & 1 ? matrixA : 0);
      current = following;
    }
    this.#next = 0;
  }
}

function low32(seed: number | bigint): number {
  if (typeof seed === "number" && !Number.isInteger(seed)) throw new RangeError(`seed must be an integer, not ${seed}`);
  return Number(BigInt.asUintN(32, BigInt(seed)));
}
