import { describe, expect, it } from "vitest";
import { parseWeightedPrompt } from "./combine.ts";
import { fragmentsOf } from "./weighted-prompt.ts";

const read = (prompt: string, terms?: string) =>
  fragmentsOf(parseWeightedPrompt(prompt, terms)).map(({ text, weight }) => [text, weight]);

describe("a list of terms", () => {
  it("is appended to the prompt, in its order and in either syntax", () => {
    expect(read("a lighthouse", "(old harbour:1.3), sea++, (fog)0.5, dawn")).toEqual([
      ["a lighthouse,", 1],
      ["old harbour", 1.3],
      [",", 1],
      ["sea", 1.1 ** 2],
      [",", 1],
      ["fog", 0.5],
      [", dawn", 1],
    ]);
    expect(read("a lighthouse, ", "fog+")).toEqual(read("a lighthouse", "fog+"));
    expect(read("", "fog+")).toEqual([["fog", 1.1]]);
    expect(read("fog+", "  ")).toEqual([["fog", 1.1]]);
  });

  it("keeps commas within brackets and quotes", () => {
    expect(read("", '(red, blue:1.2), "a, b"0.5')).toEqual([
      ["red , blue", 1.2],
      [",", 1],
      ["a , b", 0.5],
    ]);
  });

  it("says a thing once: the first of terms that differ by case and space, or by weight", () => {
    expect(read("", "(Sea Birds:1.3), seabirds, SEA  BIRDS++, (sea-birds:0.9)")).toEqual([
      ["Sea Birds", 1.3],
      [",", 1],
      ["sea-birds", 0.9],
    ]);
  });

  it("has at most six terms, repeated ones not counted", () => {
    const terms = ["a", "b", "c", "d", "e", "f"];
    expect(read("", [...terms, "A", "(b:1.2)"].join(", "))).toHaveLength(1);
    expect(() => read("", [...terms, "g"].join(", "))).toThrow("there are 7 terms; at most 6 are allowed");
  });

  it.each([
    ["(a:1.2),,b", "the second term of the list is empty"],
    ["a, b,", "the third term of the list is empty"],
    [`a${", a".repeat(7)},`, "the 9th term of the list is empty"],
    ['a, ""', 'the term """" has no text'],
    ["(a:1.2", 'the bracket "(" at character 1 is not closed'],
    ["a, (b:high:NaN)", "has no number after the colon"],
    ["a, (b:9)", 'the weight of "(b:9)" is 9; it must be 0 to 2'],
  ])("%s cannot be read", (terms, message) => {
    expect(() => read("a lighthouse", terms)).toThrow(message);
  });

  it("stands beside a prompt that is made of several, and so do such terms", () => {
    const kinds = (prompt: string, terms: string) => parseWeightedPrompt(prompt, terms).parts.map(({ kind }) => kind);
    const blend = '("a", "b").blend(1, 1)';
    expect(kinds(blend, "fog+, sea")).toEqual(["blend", "prompt"]);
    expect(kinds("a fox", `fog+, ${blend}, ("c", "d").and()`)).toEqual(["prompt", "blend", "prompt", "prompt"]);
    expect(kinds("", blend)).toEqual(["blend"]);
    expect(kinds(blend, '("c", "d").and()')).toEqual(["blend", "prompt", "prompt"]);
  });
});

it("bounds what one prompt costs", () => {
  expect(() => read("(a)0.9 b ".repeat(33))).toThrow("33 runs of text have weights; at most 32 are allowed");
  expect(read("(a)0.9 b ".repeat(32))).toHaveLength(64);
});
