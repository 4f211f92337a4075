import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { maxDifference } from "#pipelines/testing/compare.ts";
import { blendWeights, planTiles } from "./tiles.ts";

describe("planTiles", () => {
  it("leaves what fits in one piece", () => {
    expect(planTiles(128, 128, 32)).toEqual([{ start: 0, size: 128, overlapBefore: 0, overlapAfter: 0 }]);
  });

  it("shares a 2048-pixel side between three tiles", () => {
    expect(planTiles(256, 128, 32)).toEqual([
      { start: 0, size: 107, overlapBefore: 0, overlapAfter: 33 },
      { start: 74, size: 107, overlapBefore: 33, overlapAfter: 32 },
      { start: 149, size: 107, overlapBefore: 32, overlapAfter: 0 },
    ]);
  });

  it("refuses an overlap that three tiles would share", () => {
    expect(() => planTiles(100, 10, 5)).toThrow("an overlap of 5 does not fit into tiles of 10");
  });

  it("covers every pixel once, weights added up, whatever the sizes", () => {
    const sizes = fc
      .tuple(fc.integer({ min: 20, max: 130 }), fc.integer({ min: 1, max: 500 }))
      .chain(([largest, length]) =>
        fc.tuple(
          fc.constant(largest),
          fc.constant(length),
          fc.integer({ min: 1, max: Math.floor((largest * 2) / 5) }),
          fc.constantFrom(1, 8),
        ),
      );
    fc.assert(
      fc.property(sizes, ([largest, length, overlap, scale]) => {
        const tiles = planTiles(length, largest, overlap);
        const sums = new Float64Array(length * scale);
        for (const tile of tiles) {
          expect(tile.size).toBeLessThanOrEqual(largest);
          expect(tile.start + tile.size).toBeLessThanOrEqual(length);
          if (tile.overlapAfter > 0) expect(tile.overlapAfter).toBeGreaterThanOrEqual(overlap);
          const weights = blendWeights(tile, scale);
          expect(Math.min(...weights)).toBeGreaterThanOrEqual(0);
          weights.forEach((weight, index) => {
            sums[tile.start * scale + index] = (sums[tile.start * scale + index] ?? 0) + weight;
          });
        }
        expect(
          maxDifference(
            sums,
            sums.map(() => 1),
          ),
        ).toBeLessThan(1e-6);
      }),
    );
  });
});
