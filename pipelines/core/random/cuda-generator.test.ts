import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { CudaGenerator, defaultDeviceThreads } from "./cuda-generator.ts";
import { philox4x32 } from "./philox.ts";

const block = (counter: number, key: number) => {
  const words = new Uint32Array(4).fill(counter);
  philox4x32(words, key, key);
  return [...words].map((word) => word.toString(16));
};

describe("philox4x32", () => {
  it("gives the numbers that its authors publish as known answers", () => {
    expect(block(0, 0)).toEqual(["6627e8d5", "e169c58d", "bc57ac4c", "9b00dbd8"]);
    expect(block(0xffffffff, 0xffffffff)).toEqual(["408f276d", "41c83b0e", "a20bc7c6", "6d5451fd"]);
  });
});

/** With as many digits as people print of a tensor. */
const printed = (values: Iterable<number>) => [...values].map((value) => value.toFixed(4)).join(" ");

describe("CudaGenerator", () => {
  it("draws what torch printed on GPUs: seed 0", () => {
    expect(printed(new CudaGenerator(0).randn(64).subarray(0, 20))).toBe(
      "-0.9247 -0.4253 -2.6438 0.1452 -0.1209 -0.5797 -0.6229 -0.3284 -1.0745 -0.3631 " +
        "-1.6711 2.2655 0.3117 -0.1842 1.2866 1.1820 -0.1271 1.2169 1.4353 1.0605",
    );
  });

  it("goes on after the draws before, as torch printed them: seed 42", () => {
    const generator = new CudaGenerator(42);
    expect(Array.from({ length: 6 }, () => printed(generator.randn(4)))).toEqual([
      "0.1940 2.1614 -0.1721 0.8491",
      "0.1391 -0.1082 -0.7174 0.7566",
      "-0.5187 1.2268 0.6255 -0.9117",
      "-0.6974 -1.8688 -0.8832 -1.6627",
      "-1.2682 -0.0383 -0.1029 1.4400",
      "1.4640 -0.3238 0.7740 1.5892",
    ]);
  });

  it("draws the rows of a large tensor that torch printed: 1823 × 781 of seed 42", () => {
    const width = 781;
    const values = new CudaGenerator(42).randn(1823 * width);
    const ends = (row: number) => printed([0, 1, 2, 778, 779, 780].map((column) => values[row * width + column] ?? 0));
    expect([0, 1, 2, 7, 8, 9].map(ends)).toEqual([
      "0.1940 2.1614 -0.1721 -0.8353 -1.6443 0.1315",
      "-0.1797 0.9744 -2.0136 0.0543 0.2508 -0.2370",
      "1.1266 1.5895 0.1072 -0.4797 1.4313 1.7260",
      "1.9695 0.5996 0.5583 -0.0692 2.9254 0.9274",
      "-1.7301 1.2562 -1.2144 -0.4262 -2.0327 -1.0277",
      "-0.2987 0.1946 1.1640 -0.2081 -1.0439 0.7082",
    ]);
  });

  it("draws the same beginning in every size that all threads make at once, and by every device", () => {
    const longest = new CudaGenerator(7).randn(defaultDeviceThreads);
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 60_000 }), (size) => {
        expect(new CudaGenerator(7).randn(size)).toEqual(longest.slice(0, size));
        expect(new CudaGenerator(7, 61_440).randn(size)).toEqual(longest.slice(0, size));
      }),
      { numRuns: 10 },
    );
  });

  it("lays larger tensors out by the device's threads, each of which makes four values in turn", () => {
    const threads = 512;
    const values = new CudaGenerator(3, threads).randn(threads * 9 + 5);
    const words = new Uint32Array(4).fill(0);
    const angles = (offset: number, thread: number) => {
      words.set([offset, 0, thread, 0]);
      philox4x32(words, 3, 0);
      return [words[1] ?? 0, words[3] ?? 0].map((word) => ((word + 0.5) / 2 ** 32) * 2 * Math.PI);
    };
    for (const [offset, thread] of [
      [0, 0],
      [0, 511],
      [1, 17],
    ] as const) {
      const [first = 0, second = 0] = angles(offset, thread);
      const at = (place: number) => values[offset * threads * 4 + place * threads + thread] ?? 0;
      expect(Math.tan(first)).toBeCloseTo(at(0) / at(1), 2);
      expect(Math.tan(second)).toBeCloseTo(at(2) / at(3), 2);
    }
    // Two rounds were begun, so the third block of each thread is next.
    const generator = new CudaGenerator(3, threads);
    generator.randn(threads * 4 + 1);
    const [angle = 0] = angles(2, 0);
    const [next = 0] = generator.randn(1);
    expect(Math.sign(next)).toBe(Math.sign(Math.sin(angle)));
  });

  it("uses all 64 bits of a seed", () => {
    const first = (seed: number | bigint) => new CudaGenerator(seed).randn(3);
    expect(first(2 ** 32 + 42)).not.toEqual(first(42));
    expect(first(-1)).toEqual(first(2n ** 64n - 1n));
    expect(() => new CudaGenerator(1.5)).toThrow(RangeError);
  });

  it("is normal: mean, deviation and skew of 30 seeds and odd sizes", () => {
    for (let seed = 0; seed < 30; seed++) {
      const size = 40_001 + 2 * seed;
      const values = new CudaGenerator(seed).randn(size);
      const moment = (power: number) => values.reduce((sum, value) => sum + value ** power, 0) / size;
      expect(Math.abs(moment(1))).toBeLessThan(0.025);
      expect(Math.abs(moment(2) - 1)).toBeLessThan(0.04);
      expect(Math.abs(moment(3))).toBeLessThan(0.08);
    }
  });
});
