import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { chunkTokens, countChunks } from "./chunks.ts";

const frame = { beginId: 900, endId: 901, padId: 0, maxLength: 77 };

describe("chunkTokens", () => {
  it("frames an empty text", () => {
    const { data, dims } = chunkTokens([], frame, 1);
    expect(dims).toEqual([1, 77]);
    expect([...data.subarray(0, 4)]).toEqual([900, 901, 0, 0]);
  });

  it("fills a chunk of 75 tokens and starts another with the 76th", () => {
    expect(countChunks(75, 77)).toBe(1);
    expect(countChunks(76, 77)).toBe(2);
    const { data } = chunkTokens(
      Array.from({ length: 76 }, (_, i) => i + 1),
      frame,
      2,
    );
    expect([...data.subarray(74, 81)]).toEqual([74, 75, 901, 900, 76, 901, 0]);
  });

  it("refuses to cut", () => {
    expect(() => chunkTokens(Array(76).fill(1), frame, 1)).toThrow("76 tokens do not fit into 1 chunks of 77");
  });

  it("keeps every token in order, whatever the lengths", () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 1, max: 800 }), { maxLength: 400 }),
        fc.integer({ min: 3, max: 80 }),
        fc.nat(3),
        (tokens, maxLength, extra) => {
          const count = countChunks(tokens.length, maxLength) + extra;
          const { data, dims } = chunkTokens(tokens, { ...frame, maxLength }, count);
          expect(dims).toEqual([count, maxLength]);
          for (let chunk = 0; chunk < count; chunk++) {
            const row = data.subarray(chunk * maxLength, (chunk + 1) * maxLength);
            expect(row[0]).toBe(900);
            expect(row.filter((id) => id === 901)).toHaveLength(1);
          }
          expect([...data].filter((id) => id > 0 && id < 900)).toEqual(tokens);
        },
      ),
    );
  });
});
