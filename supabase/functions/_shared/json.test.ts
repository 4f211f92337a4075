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
    ["10000000000000000000000", 1e22],
    ["10000000000000000000001", "10000000000000000000001"],
    ['"9007199254740993"', "9007199254740993"],
    ['["\\\\", 9007199254740993, "\\"9007199254740993,"]', ["\\", "9007199254740993", '"9007199254740993,']],
    ['{"9007199254740993" : 9007199254740993 }', { "9007199254740993": "9007199254740993" }],
    ["[1.9007199254740993, 9007199254740993.5]", [1.9007199254740994, 9007199254740994]],
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

  it.each(["{9007199254740993:1}", "[09007199254740993]", '["9007199254740993]', "[9007199254740993", "[1e400x]"])(
    "still refuses %s",
    (text) => {
      expect(() => parseExactJson(text)).toThrow(SyntaxError);
    },
  );

  it("leaves texts alone, whatever is in them", () => {
    fc.assert(
      fc.property(
        fc.array(fc.string({ unit: fc.constantFrom("\\", '"', "9007199254740993", ",", "]", " ") })),
        (texts) => {
          const json = JSON.stringify([texts, "x"]).replace('"x"', "9007199254740993");
          expect(parseExactJson(json)).toEqual([texts, "9007199254740993"]);
        },
      ),
    );
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
      fc.property(fc.bigInt({ min: -(2n ** 69n), max: 2n ** 69n }), (whole) => {
        const value = parseExactJson(`${whole}`);
        if (typeof value === "number") expect([BigInt(value), BigInt(String(value))]).toContain(whole);
        else expect(value).toBe(`${whole}`);
      }),
    );
  });
});
