import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { imageSeeds } from "./image-job.ts";

describe("imageSeeds", () => {
  it("counts up from the seed, 0 included", () => {
    expect(imageSeeds({ seed: 0, num_images: 3 })).toEqual([0, 1, 2]);
  });

  it("draws a seed below 2^32 when there is none", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 6 }), (count) => {
        const seeds = imageSeeds({ num_images: count });
        expect(seeds).toHaveLength(count);
        expect(seeds[0]).toBeLessThan(2 ** 32);
        expect(seeds).toEqual(seeds.map((_, index) => (seeds[0] ?? 0) + index));
      }),
    );
    expect(imageSeeds({ num_images: 1 })).not.toEqual(imageSeeds({ num_images: 1 }));
  });
});
