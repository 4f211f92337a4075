import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { parseExactJson } from "./json.ts";

describe("parseExactJson", () => {
  it.each([
    ["9007199254740993", "9007199254740993"],
    ["-9007199254740993", "-9007199254740993"],
    ['{"config":{"seed":9007199254740993}}', { config: { seed: "9007199254740993" } }],
    ["[1e400,-1e999]", ["1e400", "-1e999"]],
    ["9007199254740992", 2 ** 53],
    ["18014398509481984", 2 ** 54],
    ["1152921504606847000", 2 ** 60],
    ["1e300", 1e300],
    ["0.12345678901234567890", 0.12345678901234568],
    ['"9007199254740993"', "9007199254740993"],
    ["[0, -0, 1.5, true, null]", [0, -0, 1.5, true, null]],
  ])("%s", (text, value) => {
    expect(parseExactJson(text)).toEqual(value);
  });

  it("keeps __proto__ a key, and refuses what is no JSON", () => {
    expect(Object.keys(Object(parseExactJson('{"__proto__":{},"seed":9007199254740993}')))).toEqual([
      "__proto__",
      "seed",
    ]);
    expect(() => parseExactJson('{"seed": 9007199254740993')).toThrow(SyntaxError);
  });

  it("parses everything else as JSON.parse does", () => {
    fc.assert(
      fc.property(fc.json(), (text) => {
        expect(parseExactJson(text)).toEqual(JSON.parse(text));
      }),
    );
  });

  it("never gives a whole number that was rounded on the way", () => {
    fc.assert(
      fc.property(fc.bigInt({ min: -(2n ** 70n), max: 2n ** 70n }), (whole) => {
        const value = parseExactJson(`${whole}`);
        if (typeof value === "number") expect([BigInt(value), BigInt(String(value))]).toContain(whole);
        else expect(value).toBe(`${whole}`);
      }),
    );
  });
});
