import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { seedsFrom } from "./seeds.ts";

describe("seedsFrom", () => {
  it("counts up from the seed, 0 included", () => {
    expect(seedsFrom(0, 3)).toEqual([0, 1, 2]);
  });

  it("draws a seed below 2^32 when there is none", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 6 }), (count) => {
        const seeds = seedsFrom(undefined, count);
        expect(seeds).toHaveLength(count);
        expect(seeds[0]).toBeLessThan(2 ** 32);
        expect(seeds).toEqual(seeds.map((_, index) => (seeds[0] ?? 0) + index));
      }),
    );
    expect(seedsFrom(undefined, 1)).not.toEqual(seedsFrom(undefined, 1));
  });
});
