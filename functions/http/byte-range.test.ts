import fc from "fast-check";
import { expect, it } from "vitest";
import { parseByteRange } from "./byte-range.ts";

it.each([
  ["bytes=0-0", { start: 0, end: 0 }],
  ["bytes=0-", { start: 0, end: 99 }],
  ["bytes=10-19", { start: 10, end: 19 }],
  ["bytes=10-1000", { start: 10, end: 99 }],
  ["BYTES = 10 - 19", { start: 10, end: 19 }],
  ["bytes=-10", { start: 90, end: 99 }],
  ["bytes=-1000", { start: 0, end: 99 }],
  ["bytes=99-", { start: 99, end: 99 }],
  ["bytes=100-", "unsatisfiable"],
  ["bytes=100-200", "unsatisfiable"],
  ["bytes=-0", "unsatisfiable"],
  ["bytes=20-10", "whole"],
  ["bytes=-", "whole"],
  ["bytes=0-1,5-6", "whole"],
  ["bytes=a-b", "whole"],
  ["pages=0-1", "whole"],
  [`bytes=${"9".repeat(400)}-`, "whole"],
  ["", "whole"],
  [null, "whole"],
])("%s of 100 bytes", (header, expected) => {
  expect(parseByteRange(header, 100)).toEqual(expected);
});

it.each(["bytes=0-", "bytes=-1", "bytes=0-0"])("%s of an empty file", (header) => {
  expect(parseByteRange(header, 0)).toBe("unsatisfiable");
});

it("never leaves the file", () => {
  const bound = fc.oneof(fc.constant(""), fc.nat({ max: 300 }).map(String));
  fc.assert(
    fc.property(bound, bound, fc.nat({ max: 200 }), (first, last, size) => {
      const range = parseByteRange(`bytes=${first}-${last}`, size);
      if (typeof range === "string") return;
      expect(range.start).toBeGreaterThanOrEqual(0);
      expect(range.start).toBeLessThanOrEqual(range.end);
      expect(range.end).toBeLessThan(size);
    }),
  );
});
