import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  checkShape,
  concat,
  isFiniteData,
  release,
  repeatBatch,
  scaleInPlace,
  sliceBatch,
  splitBatch,
  tensor,
  zeros,
} from "./tensor.ts";

const counting = (dims: readonly number[], from = 0) =>
  tensor(
    Float32Array.from({ length: dims.reduce((a, b) => a * b, 1) }, (_, i) => from + i),
    dims,
  );

describe("tensor", () => {
  it("refuses data that does not fill the shape", () => {
    expect(() => tensor(new Float32Array(5), [2, 3])).toThrow("shape [2, 3] needs 6 values, not 5");
  });

  it("names both shapes when they differ", () => {
    expect(() => checkShape("sample", [1, 4, 8, 8], [-1, 4, 16, 16])).toThrow(
      "sample has shape [1, 4, 8, 8], expected [-1, 4, 16, 16]",
    );
    expect(() => checkShape("sample", [7, 4, 16, 16], [-1, 4, 16, 16])).not.toThrow();
  });
});

describe("concat", () => {
  it("joins along the last axis row by row", () => {
    const joined = concat([counting([2, 2]), counting([2, 1], 10)], 1);
    expect(joined.dims).toEqual([2, 3]);
    expect([...joined.data]).toEqual([0, 1, 10, 2, 3, 11]);
  });

  it("refuses other axes that differ, and nothing at all", () => {
    expect(() => concat([zeros([2, 2]), zeros([3, 2])], 1)).toThrow("shape [3, 2], expected [2, -1]");
    expect(() => concat([], 0)).toThrow("cannot concatenate 0 tensors");
  });

  it("is undone by splitBatch along the first axis", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 5 }), fc.integer({ min: 1, max: 4 }), (batch, width) => {
        const whole = counting([batch, width]);
        expect(concat(splitBatch(whole), 0)).toEqual(whole);
      }),
    );
  });
});

describe("batches", () => {
  it("slices without copying and refuses rows that are not there", () => {
    const whole = counting([3, 2]);
    const rows = sliceBatch(whole, 1, 2);
    expect([...rows.data]).toEqual([2, 3, 4, 5]);
    expect(rows.data.buffer).toBe(whole.data.buffer);
    expect(() => sliceBatch(whole, 2, 2)).toThrow("rows 2 to 4 are outside");
  });

  it("repeats the whole tensor", () => {
    expect([...repeatBatch(counting([1, 2]), 2).data]).toEqual([0, 1, 0, 1]);
  });
});

it("releases memory at once, and twice does no harm", () => {
  const released = zeros([2, 3]);
  const kept = zeros([2]);
  release(released);
  release(released);
  expect(released.data).toHaveLength(0);
  expect(kept.data).toHaveLength(2);
});

describe("arithmetic", () => {
  it("scales in float32", () => {
    expect([...scaleInPlace(tensor(Float32Array.of(1, 3), [2]), 0.1).data]).toEqual([
      Math.fround(0.1),
      Math.fround(3 * Math.fround(0.1)),
    ]);
  });

  it("finds NaN and infinity wherever they are", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 50 }),
        fc.nat(),
        fc.constantFrom(Number.NaN, Infinity, -Infinity),
        (n, at, bad) => {
          const data = new Float32Array(n).fill(3e38);
          expect(isFiniteData(data)).toBe(true);
          data[at % n] = bad;
          expect(isFiniteData(data)).toBe(false);
        },
      ),
    );
  });
});
