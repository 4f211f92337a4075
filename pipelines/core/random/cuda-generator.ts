import { philox4x32 } from "./philox.ts";

/** Threads of a block, and values that a thread makes at a time, in torch's kernels for random numbers. */
const blockThreads = 256;
const valuesPerCall = 4;

const inverse = Math.fround(2 ** -32);
const inverseTwoPi = Math.fround(inverse * Math.fround(2 * Math.PI));

/**
 * How many threads a device runs at once: its multiprocessors × the threads of each, in whole blocks. Up to as many values,
 * all devices draw the same; beyond that the layout is the device's own. This is an A100's: latents of 1024 × 1024 pixels are
 * below what all but small GPUs have.
 */
export const defaultDeviceThreads = 108 * 2048;

/**
 * Draws the numbers of `torch.Generator("cuda").manual_seed(seed)`: each value has a Philox block of its own, counted by
 * thread.
 *
 * Source: `calc_execution_policy` and `distribution_elementwise_grid_stride_kernel` in
 * `ATen/native/cuda/DistributionTemplates.h`; `curand_init` and `curand_normal4` of cuRAND.
 */
export class CudaGenerator {
  readonly #key0: number;
  readonly #key1: number;
  readonly #deviceThreads: number;
  /** Blocks of a thread that were drawn before. */
  #offset = 0;

  /**
   * @param seed an integer; negative ones count from 2^64 down
   * @throws RangeError when it is none
   */
  constructor(seed: number | bigint, deviceThreads = defaultDeviceThreads) {
    const key = BigInt.asUintN(64, BigInt(seed));
    this.#key0 = Number(key & 0xffffffffn);
    this.#key1 = Number(key >> 32n);
    this.#deviceThreads = deviceThreads;
  }

  /**
   * Standard normal values: what `torch.randn(size, generator=…, device="cuda")` returns, but for the last digits, which
   * CUDA's fast sine decides (1e-6).
   */
  randn(size: number): Float32Array {
    const out = new Float32Array(size);
    const threads = Math.min(this.#deviceThreads, Math.ceil(size / blockThreads) * blockThreads);
    const rounds = Math.ceil(size / (threads * valuesPerCall));
    const block = new Uint32Array(4);
    for (let round = 0; round < rounds; round++) {
      const start = round * threads * valuesPerCall;
      for (let thread = 0; thread < Math.min(threads, size - start); thread++) {
        block.set([this.#offset + round, 0, thread, 0]);
        philox4x32(block, this.#key0, this.#key1);
        place(block, out, start + thread, threads);
      }
    }
    this.#offset += rounds;
    return out;
  }
}

/** Turns a block into four normals, of which those that have a place in the tensor are kept: one every `stride` values. */
function place(block: Uint32Array, out: Float32Array, start: number, stride: number): void {
  for (let pair = 0; pair < 2; pair++) {
    const first = start + 2 * pair * stride;
    if (first >= out.length) return;
    const u = Math.fround(Math.fround(block[2 * pair] ?? 0) * inverse + inverse / 2);
    const angle = Math.fround(Math.fround(block[2 * pair + 1] ?? 0) * inverseTwoPi + inverseTwoPi / 2);
    const radius = Math.fround(Math.sqrt(Math.fround(-2 * Math.fround(Math.log(u)))));
    out[first] = radius * Math.fround(Math.sin(angle));
    if (first + stride < out.length) out[first + stride] = radius * Math.fround(Math.cos(angle));
  }
}
