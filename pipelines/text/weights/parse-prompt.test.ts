import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { z } from "zod";
import { parsePrompt } from "./parse-prompt.ts";
import { WeightError } from "./weight-error.ts";
import { type Fragments, fragmentsOf } from "./weighted-prompt.ts";

const grammarCases = z
  .array(z.object({ text: z.string(), fragments: z.array(z.tuple([z.string(), z.number()])) }))
  .parse(JSON.parse(readFileSync(new URL("../../sdxl/fixtures/weights/grammar-cases.json", import.meta.url), "utf8")));

const read = (prompt: string) => fragmentsOf(parsePrompt(prompt)).map(({ text, weight }) => [text, weight]);

function failure(prompt: string): WeightError {
  try {
    parsePrompt(prompt);
  } catch (error) {
    if (error instanceof WeightError) return error;
    throw error;
  }
  throw new Error(`"${prompt}" was read`);
}

describe("what Compel reads", () => {
  it("is read as Compel does, or refused for a weight beyond 2 or an empty term", () => {
    let refused = 0;
    for (const { text, fragments } of grammarCases) {
      try {
        expect(read(text), text).toEqual(fragments);
      } catch (error) {
        if (!(error instanceof WeightError)) throw error;
        expect(error.message, text).toMatch(/the weight of .* is [\d.]+; it must be 0 to 2|empty term/);
        refused++;
      }
    }
    expect(refused).toBeLessThan(grammarCases.length / 20);
  });
});

describe("(term:1.3)", () => {
  it.each([
    [
      "a (red fox:1.3) in snow",
      [
        ["a", 1],
        ["red fox", 1.3],
        ["in snow", 1],
      ],
    ],
    [
      "(a (b:1.5) c:0.5)",
      [
        ["a", 0.5],
        ["b", 0.75],
        ["c", 0.5],
      ],
    ],
    ["(black - white:1.2)", [["black - white", 1.2]]],
    [
      "(a, b : 1.2 ),c",
      [
        ["a , b", 1.2],
        [", c", 1],
      ],
    ],
    ["(morning: fog) at 5:30", [["morning: fog at 5:30", 1]]],
    [
      "sun(flower:1.2)field",
      [
        ["sun", 1],
        ["flower", 1.2],
        ["field", 1],
      ],
    ],
    ["(a \\(b\\):1.2)", [["a (b)", 1.2]]],
    [
      "(x:0) (y:2.) (z:.5) (w:+1.5)",
      [
        ["x", 0],
        ["y", 2],
        ["z", 0.5],
        ["w", 1.5],
      ],
    ],
  ] satisfies [string, unknown[]][])("%s", (prompt, fragments) => {
    expect(read(prompt)).toEqual(fragments);
  });

  it.each([
    ["a (fox:1.3)", "a (fox)1.3"],
    ["((fox:1.3) hare:0.5)", "((fox)1.3 hare)0.5"],
    ["(fox:1.3)s", "(fox)1.3 s"],
    ["sun(flower:1.2)", "sun (flower)1.2"],
    ["(fox:1.3), hare", "(fox)1.3, hare"],
    ["(fox:0.0000001)", "(fox)0.00000010000000000000"],
    ['("a (fox:1.3)", "b").and()', '("a (fox)1.3", "b").and()'],
  ])("writes %s as Compel does", (prompt, compelText) => {
    expect(parsePrompt(prompt).compelText).toBe(compelText);
  });
});

describe(".and() and .blend()", () => {
  it("joins prompts", () => {
    expect(parsePrompt('("a fox++", "a wolf - grey").blend(0.7, 0.3)').parts).toEqual([
      {
        kind: "blend",
        weight: 1,
        normalized: true,
        prompts: [
          {
            fragments: [
              { text: "a", weight: 1 },
              { text: "fox", weight: 1.1 ** 2 },
            ],
            weight: 0.7,
          },
          { fragments: [{ text: "a wolf - grey", weight: 1 }], weight: 0.3 },
        ],
      },
    ]);
    expect(parsePrompt("(fox, (a wolf)) .and ( 1, 0.5 )").parts).toMatchObject([{ weight: 1 }, { weight: 0.5 }]);
    expect(parsePrompt('("a", "b").blend(1, 1, no_normalize)').parts).toMatchObject([{ normalized: false }]);
  });
});

describe("what cannot be read", () => {
  it.each([
    ["a (fox", "syntax", 'the bracket "(" at character 3 is not closed (write \\( for the sign itself)'],
    ["a fox)", "syntax", 'the bracket ")" at character 6 was never opened (write \\) for the sign itself)'],
    ["(fox:9)", "limit", 'the weight of "(fox:9)" is 9; it must be 0 to 2'],
    ["(fox)9", "limit", 'the weight of "(fox)" is 9; it must be 0 to 2'],
    ["(fox:-1)", "limit", 'the weight of "(fox:-1)" is -1; it must be 0 to 2'],
    ["fox++++++++", "limit", 'the weight of "fox" is 2.144; it must be 0 to 2'],
    [
      "((fox)1.9 hare)1.9",
      "limit",
      'the weight of "fox", all brackets around it multiplied, is 3.61; it must be 0 to 2',
    ],
    ["(fox:NaN)", "syntax", '"(fox:NaN)" has no number after the colon; write (term:1.3)'],
    ["(fox:1e1)", "syntax", '"(fox:1e1)" has no number after the colon; write (term:1.3)'],
    ["a (fox:1,3) in snow", "syntax", '"(fox:1,3)" has a comma in its weight; write (term:1.3)'],
    ["(fox:,5)", "syntax", '"(fox:,5)" has a comma in its weight; write (term:.5)'],
    ["(fox:)", "syntax", '"(fox:)" has no number after the colon; write (term:1.3)'],
    ["(:1.3)", "syntax", '"(:1.3)" weights an empty term'],
    ["()1.3", "syntax", 'the weight "1.3" stands after "()", an empty term'],
    ["(fox:1.3)1.2", "syntax", '"(fox:1.3)" has two weights'],
    ["fox.swap(hare)", "syntax", ".swap() in a prompt is not supported"],
    ["a withLora(name, 0.5)", "syntax", "withLora() and useLora() in a prompt are not supported"],
    ['("a", "b").blend(1)', "syntax", ".blend() has 2 prompts and 1 weights"],
    ['("a", "b").blend(0, 0)', "syntax", "the weights of .blend() are all 0; one must be more"],
    ['("a", "b").and(1, 3)', "limit", "the weight of a prompt of .and() is 3; it must be 0 to 2"],
    ['("a", "b").and(1, x)', "syntax", '"x" is not a weight of .and(): write a number'],
    ['("a", "b").and() c', "syntax", "there is text after .and(); move it into one of its prompts"],
    [
      'c ("a", "b").and()',
      "syntax",
      '.and() and .blend() must make up the whole prompt: ("one prompt", "another prompt").blend(0.7, 0.3)',
    ],
    ['("a", "b", "c", "d", "e", "f", "g").and()', "limit", ".and() joins 7 prompts; at most 6 are allowed"],
  ])("%s", (prompt, kind, message) => {
    expect(failure(prompt)).toMatchObject({ kind, message });
  });
});

/** Text that no mark of the grammar is in. */
const plainWord = fc.stringMatching(/^[a-z日é]{1,6}$/);
const fragments: fc.Arbitrary<Fragments> = fc
  .array(
    fc.record({
      text: fc.array(plainWord, { minLength: 1, maxLength: 3 }).map((words) => words.join(" ")),
      weight: fc.integer({ min: 1, max: 200 }).map((hundredths) => hundredths / 100),
    }),
    { minLength: 1, maxLength: 6 },
  )
  .map((some) => some.filter(({ weight }, index) => weight !== some[index - 1]?.weight));

describe("any text", () => {
  it("comes back from what is written of it, in either syntax", () => {
    fc.assert(
      fc.property(fragments, fc.boolean(), (some, hasColon) => {
        const write = ({ text, weight }: Fragments[number]) =>
          hasColon ? `(${text}:${weight})` : `(${text})${weight}`;
        const { parts } = parsePrompt(some.map(write).join(" "));
        expect(parts).toEqual([{ kind: "prompt", fragments: some, weight: 1 }]);
      }),
    );
  });

  it("reads the same from Compel's syntax as from the one it was written in", () => {
    const piece = fc.constantFrom("fox", "(", ")", ":1.2)", ":0.5)", " ", ",", "+", "-", '"', "\\(", "5", ".");
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 20 }), (pieces) => {
        const parsed = tryRead(pieces.join(""));
        // Within a bracket with a colon, what Compel would not read is text.
        if (parsed === undefined || / [-+]|[-+] |"|[-+]{2}/.test(pieces.join(" "))) return;
        expect(tryRead(parsed.compelText)?.compelText).toBe(parsed.compelText);
      }),
    );
  });

  it("throws nothing but WeightError", () => {
    const anything = fc.oneof(
      fc.string({ unit: "binary", maxLength: 200 }),
      fc
        .array(fc.constantFrom(...'ab()"\\:+-=.,123 \n\t', ".blend(", ".and()", ":1.3)"), { maxLength: 60 })
        .map((some) => some.join("")),
    );
    fc.assert(
      fc.property(anything, (text) => {
        tryRead(text);
      }),
      { numRuns: 2000 },
    );
  });

  it.each([
    ["opening brackets", "("],
    ["closing brackets", ")"],
    ["pairs of brackets", "()"],
    ["quotes", '"'],
    ["quotes around what is no phrase", '" - '],
    ["weights", "a+ "],
    ["terms", "(a:1.1)"],
    ["nested brackets that fail", `${"(".repeat(20)}a = ${")".repeat(20)}`],
    ["nested terms", `${"(a ".repeat(20)}- x${":1.0)".repeat(20)}`],
    ["escapes", "\\("],
    ["blanks before a word", " ", "", "a"],
    ["lines between words", "\n", "a, b", "c"],
    ["blanks after a phrase", " ", "(a)", ".swap"],
    ["blanks in a term", " ", "(", "a:1.1)"],
    ["terms within a word", "b(a:1.1)"],
    ["a number that is none", "1", "(a:", "x)"],
    ["a power", "1", "(a:", "e)"],
    ["a weight behind a phrase", "1", "(a)", "x"],
    ["a weight of .blend()", "1", '("a", "b").blend(', "x)"],
  ])("takes time in proportion to its length: 100,000 characters of %s", (_name, piece, before = "", after = "") => {
    const secondsOf = (length: number) => {
      const text = before + piece.repeat(Math.ceil(length / piece.length)) + after;
      const start = performance.now();
      tryRead(text);
      return (performance.now() - start) / 1000;
    };
    secondsOf(10_000);
    // A quadratic reader would take a hundred times as long as for a tenth, and minutes.
    expect(secondsOf(100_000)).toBeLessThan(20);
  });
});

function tryRead(text: string) {
  try {
    return parsePrompt(text);
  } catch (error) {
    expect(error).toBeInstanceOf(WeightError);
    return undefined;
  }
}
