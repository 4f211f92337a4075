import fc from "fast-check";

/* JSON that nobody sends by intention: values that cannot be made a text or number of, and names that every object has. */

const names = [
  "toString",
  "valueOf",
  "toJSON",
  "constructor",
  "__proto__",
  "hasOwnProperty",
  "length",
  "then",
  "0",
  "",
];
const texts = [
  "",
  " ",
  "\0",
  "\ud83d",
  "٣",
  "-0",
  "1e999",
  "9".repeat(400),
  "x".repeat(9000),
  "https://[",
  "2026-13-45",
];
const numbers = [0, -0, -1, 0.5, 2 ** 53, 1e308, -1e308, 5e-324];

const { value: oddValue } = fc.letrec<{ value: unknown; object: unknown; list: unknown }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 3 },
    fc.constantFrom(...texts, ...numbers, null, true, false),
    // No text can be made of it: neither `String` nor a template literal takes it.
    fc.constantFrom(
      { toString: 1 },
      { toString: null, valueOf: {} },
      [{ toString: 1 }],
      { length: { toString: 1 } },
      [[]],
      {},
    ),
    fc.jsonValue({ maxDepth: 2 }),
    tie("object"),
    tie("list"),
  ),
  object: fc.dictionary(fc.oneof(fc.constantFrom(...names), fc.string({ maxLength: 4 })), tie("value"), { maxKeys: 3 }),
  list: fc.array(tie("value"), { maxLength: 3 }),
}));

export { oddValue };

/** Objects with some of these names, each with a value that is usual or odd. */
export function oddObject(
  known: readonly string[],
  usual: readonly unknown[] = [],
): fc.Arbitrary<Record<string, unknown>> {
  const name = fc.oneof(
    { weight: 9, arbitrary: fc.constantFrom(...known) },
    { weight: 1, arbitrary: fc.constantFrom(...names) },
  );
  const value = usual.length === 0 ? oddValue : fc.oneof(oddValue, fc.constantFrom(...usual));
  return fc.dictionary(name, value, { maxKeys: 5 });
}
