import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { fitTokens } from "./fit.ts";

/** Words and punctuation marks, as CLIP counts them for common words. */
const count = (text: string) => text.match(/[\p{L}\p{N}']+|[^\s\p{L}\p{N}]/gu)?.length ?? 0;

const prompt = "a red fox in deep snow, soft light, a winter wood. It looks up; far off, a house.";

it.each([
  [100, prompt],
  [24, prompt],
  [20, "a red fox in deep snow, soft light, a winter wood. It looks up; far off"],
  [18, "a red fox in deep snow, soft light, a winter wood. It looks up"],
  [15, "a red fox in deep snow, soft light, a winter wood."],
  [12, "a red fox in deep snow, soft light"],
  [6, "a red fox in deep snow"],
  [5, "a red fox in deep"],
  [1, "a"],
])("%d tokens", (limit, text) => {
  expect(fitTokens(prompt, limit, count)).toEqual({ text, tokens: count(text), cutTokens: 24 - count(text) });
});

it("does not cut within brackets, and takes one that is never closed for a character", () => {
  const weighted = "a fox (in snow, soft light:1.2), dawn, wide";
  expect(fitTokens(weighted, 13, count).text).toBe("a fox (in snow, soft light:1.2)");
  expect(fitTokens(weighted, 12, count).text).toBe("a fox");
  expect(fitTokens("(in snow, soft light:1.2)", 3, count).text).toBe("(in snow");
  expect(fitTokens("a fox (, dawn, wide shot of a hill", 5, count).text).toBe("a fox (, dawn");
});

it("cuts a word that is too long by itself between characters", () => {
  const letters = (text: string) => [...text].length;
  expect(fitTokens("👩‍🚀👩‍🚀👩‍🚀", 7, letters).text).toBe("👩‍🚀👩‍🚀");
  expect(fitTokens("👩‍🚀", 2, letters)).toEqual({ text: "", tokens: 0, cutTokens: 3 });
});

it("asks the tokenizer a few times only", () => {
  let asked = 0;
  const long = "a fox, ".repeat(2000);
  fitTokens(long, 75, (text) => {
    asked += 1;
    return count(text);
  });
  expect(asked).toBeLessThan(20);
});

it("refuses a limit that nothing fits in", () => {
  expect(() => fitTokens("a fox", 0, count)).toThrow("a limit of 0 tokens: must be at least 1");
  expect(() => fitTokens("a fox", Number.NaN, count)).toThrow(RangeError);
});

const texts = fc
  .array(fc.constantFrom("a", "fox", "snow,", "dawn.", "(light", "wide)", "lens;", "—", "It's", "日本"), {
    maxLength: 60,
  })
  .map((parts) => parts.join(" "));

describe("any prompt", () => {
  it("keeps to the limit and is a beginning of the prompt", () => {
    fc.assert(
      fc.property(fc.oneof(texts, fc.string({ unit: "grapheme" })), fc.integer({ min: 1, max: 40 }), (text, limit) => {
        const fitted = fitTokens(text, limit, count);
        expect(fitted.tokens).toBe(count(fitted.text));
        expect(fitted.tokens).toBeLessThanOrEqual(limit);
        expect(text.trim().startsWith(fitted.text)).toBe(true);
        expect(fitted.cutTokens === 0).toBe(fitted.text === text.trim());
        expect(fitTokens(fitted.text, limit, count)).toEqual({ ...fitted, cutTokens: 0 });
      }),
      { numRuns: 500 },
    );
  });

  it("ends at a word where there is room for one", () => {
    fc.assert(
      fc.property(texts, fc.integer({ min: 4, max: 40 }), (text, limit) => {
        const { text: fitted } = fitTokens(text, limit, count);
        expect(`${text.trim()} `.slice(fitted.length)).toMatch(/^[\s,;.:—)]/);
      }),
      { numRuns: 500 },
    );
  });

  it("keeps to the limit with a tokenizer whose counts do not always grow with the text", () => {
    const odd = (text: string) => Math.ceil(text.length / 4) - (text.endsWith("fox") ? 3 : 0);
    fc.assert(
      fc.property(texts, fc.integer({ min: 1, max: 40 }), (text, limit) => {
        expect(odd(fitTokens(text, limit, odd).text)).toBeLessThanOrEqual(limit);
      }),
    );
  });
});
