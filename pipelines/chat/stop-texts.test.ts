import fc from "fast-check";
import { expect, it } from "vitest";
import { StopTexts } from "./stop-texts.ts";

function cut(pieces: readonly string[], stops: readonly string[]): { text: string; ended: boolean; given: string[] } {
  const filter = new StopTexts(stops);
  const given: string[] = [];
  for (const piece of pieces) {
    const { text, ended } = filter.push(piece);
    given.push(text);
    if (ended) return { text: given.join(""), ended, given };
  }
  given.push(filter.end());
  return { text: given.join(""), ended: false, given };
}

it("holds back what may be the beginning of a stop text", () => {
  expect(cut(["a red ", "app", "le ", "tree"], ["apple tree"])).toEqual({
    text: "a red ",
    ended: true,
    given: ["a red ", "", "", ""],
  });
  expect(cut(["a red ", "app", "etite"], ["apple"]).given).toEqual(["a red ", "", "appetite", ""]);
});

it("gives out at the end what was held back in vain", () => {
  expect(cut(["one", "\n", "\n"], ["\n\n\n"])).toMatchObject({ text: "one\n\n", ended: false });
});

it("cuts before the first of several", () => {
  expect(cut(["xaby"], ["b", "ab"]).text).toBe("x");
});

it("finds the same end wherever the pieces begin", () => {
  const letters = fc.string({ unit: fc.constantFrom("a", "b", "🦊"), maxLength: 30 });
  const stop = fc.string({ unit: fc.constantFrom("a", "b", "🦊"), minLength: 1, maxLength: 4 });
  fc.assert(
    fc.property(fc.array(letters, { maxLength: 8 }), fc.array(stop, { maxLength: 3 }), (pieces, stops) => {
      const whole = pieces.join("");
      const found = stops.map((one) => whole.indexOf(one)).filter((at) => at >= 0);
      const { text, ended } = cut(pieces, stops);
      expect(ended).toBe(found.length > 0);
      // A stop text that begins earlier may end later: what was given out by then is cut no more.
      if (!ended) expect(text).toBe(whole);
      else expect(stops.some((one) => whole.startsWith(text + one))).toBe(true);
      for (const one of stops) expect(text.includes(one)).toBe(false);
    }),
  );
});
