import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { numericalError, outOfMemory } from "#pipelines/core/errors.ts";
import { runInParts } from "./parts.ts";

/** Doubles items in parts of at most `capacity`, and records the parts that were requested. */
function worker(capacity: number) {
  const parts: number[][] = [];
  const run = async (part: readonly number[], done: number) => {
    parts.push([...part]);
    expect(part[0]).toBe(done);
    if (part.length > capacity) throw outOfMemory("unet/model.onnx", undefined);
    return part.map((item) => item * 2);
  };
  return { parts, run };
}

describe("runInParts", () => {
  it("halves a part that does not fit, and stays with what fits", async () => {
    const { parts, run } = worker(2);
    expect(await runInParts([0, 1, 2, 3, 4, 5], 6, run)).toEqual([0, 2, 4, 6, 8, 10]);
    expect(parts).toEqual([
      [0, 1, 2, 3, 4, 5],
      [0, 1, 2],
      [0, 1],
      [2, 3],
      [4, 5],
    ]);
  });

  it("fails when one item does not fit, and at once on any other error", async () => {
    await expect(runInParts([0], 1, worker(0).run)).rejects.toMatchObject({ code: "OUT_OF_MEMORY" });
    const broken = () => Promise.reject(numericalError("the latents", ""));
    await expect(runInParts([0, 1], 2, broken)).rejects.toMatchObject({ code: "NUMERICAL_ERROR" });
  });

  it("returns every result in order, whatever the sizes", async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat(8), fc.nat(8), fc.integer({ min: 1, max: 8 }), async (count, partSize, capacity) => {
        const items = Array.from({ length: count }, (_, index) => index);
        expect(await runInParts(items, partSize, worker(capacity).run)).toEqual(items.map((item) => item * 2));
      }),
    );
  });
});
