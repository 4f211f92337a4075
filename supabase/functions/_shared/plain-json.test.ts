import fc from "fast-check";
import { describe, expect, it, test } from "vitest";
import { NotJsonError, requireJson, requireJsonObject, safeJson, shortText } from "./plain-json.ts";

const cyclic: Record<string, unknown> = {};
cyclic.self = { inner: cyclic };

function noBrush(): never {
  throw new Error("no brush");
}

const throwing = {
  get brush() {
    return noBrush();
  },
};

function deep(levels: number): unknown {
  return Array.from({ length: levels }).reduce<unknown>((inner) => [inner], 0);
}

/** Whatever JavaScript has, and what fast-check's own list lacks. */
const anything = fc.oneof(
  fc.anything({
    withBigInt: true,
    withBoxedValues: true,
    withDate: true,
    withMap: true,
    withSet: true,
    withNullPrototype: true,
    withObjectString: true,
    withSparseArray: true,
    withTypedArray: true,
    withUnicodeString: true,
  }),
  fc.constantFrom<unknown>(
    cyclic,
    throwing,
    Symbol("seed"),
    { [Symbol("seed")]: 1 },
    deep(5000),
    () => 1,
    new Proxy({}, { ownKeys: noBrush }),
    new Error("no paint"),
    "\ud83d",
    new Array(2 ** 32 - 1),
  ),
);

describe("requireJson", () => {
  it.each<[string, unknown, string]>([
    ["a function", { seed: () => 7 }, "metadata.seed: a function is not JSON"],
    ["a BigInt", { seed: 7n }, "metadata.seed: a BigInt is not JSON"],
    ["a symbol", [Symbol("seed")], "metadata[0]: a symbol is not JSON"],
    ["undefined in a list", { sizes: [1, undefined] }, "metadata.sizes[1]: undefined is not JSON"],
    ["a hole in a list", { sizes: new Array(2) }, "metadata.sizes[0]: undefined is not JSON"],
    ["no number", { scale: Number.NaN }, "metadata.scale: NaN is not JSON: numbers must be finite"],
    ["no end", { scale: -1 / 0 }, "metadata.scale: -Infinity is not JSON: numbers must be finite"],
    ["a date", { at: new Date(0) }, "metadata.at: a Date is not JSON: use plain objects and lists"],
    [
      "bytes",
      { picture: new Uint8Array(2) },
      "metadata.picture: a Uint8Array is not JSON: use plain objects and lists",
    ],
    ["a map", new Map(), "metadata: a Map is not JSON: use plain objects and lists"],
    ["a cycle", cyclic, "metadata.self.inner: an object that contains itself is not JSON"],
    ["a getter that throws", throwing, "metadata.brush: cannot be read"],
    ["a symbol as a key", { [Symbol("seed")]: 1 }, "metadata: has the key Symbol(seed): a symbol is not JSON"],
    ["too deep", deep(65), `metadata${"[0]".repeat(64)}: more than 64 levels deep`],
    ["too long", ["a".repeat(1_000_001)], "metadata[0]: more than 1000000 characters"],
    ["too many", Array.from({ length: 10_000 }, () => 0), "metadata[9999]: more than 10000 values"],
  ])("refuses %s and says where it is", (_, value, message) => {
    expect(() => requireJson(value, "metadata")).toThrow(new NotJsonError(...split(message)));
  });

  it("leaves out what is undefined in an object, and mends half a pair", () => {
    expect(
      requireJson({ a: undefined, b: "\ud83d", c: Object.assign(Object.create(null), { d: [null, 1e300] }) }, "x"),
    ).toEqual({
      b: "\ufffd",
      c: { d: [null, 1e300] },
    });
  });

  it("takes an object that stands in many places, if it is not too much", () => {
    const shared = { a: 1 };
    expect(requireJson([shared, shared], "x")).toEqual([{ a: 1 }, { a: 1 }]);
    const doubled = Array.from({ length: 40 }).reduce<unknown>((inner) => [inner, inner], 0);
    expect(() => requireJson(doubled, "x")).toThrow(NotJsonError);
  });

  it("keeps a key that would be a prototype a key", () => {
    const copy = requireJson(JSON.parse('{"__proto__": {"a": 1}}'), "x");
    expect(JSON.stringify(copy)).toBe('{"__proto__":{"a":1}}');
  });

  it("wants an object where one is due", () => {
    expect(requireJsonObject(undefined, "metadata")).toEqual({});
    expect(() => requireJsonObject([1], "metadata")).toThrow("metadata: must be an object, not a list");
    expect(() => requireJsonObject("x", "metadata")).toThrow("metadata: must be an object, not a string");
  });

  test("what it lets through is what JSON would make of it, and can be sent to another process", () => {
    fc.assert(
      fc.property(anything, (value) => {
        try {
          const copy = requireJson(value, "value");
          expect(copy).toEqual(JSON.parse(JSON.stringify(copy)));
          expect(structuredClone(copy)).toEqual(copy);
        } catch (error) {
          expect(error).toBeInstanceOf(NotJsonError);
        }
      }),
    );
  });

  test("takes all JSON as it is", () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        // -0 is no JSON.
        expect(JSON.stringify(requireJson(value, "value"))).toBe(JSON.stringify(value));
      }),
    );
  });
});

describe("safeJson", () => {
  it("shows what is not JSON", () => {
    expect(
      safeJson({
        f: () => 1,
        b: 7n,
        s: Symbol("seed"),
        n: Number.NaN,
        u: undefined,
        l: [undefined],
        m: new Map(),
        ...{ cyclic },
      }),
    ).toEqual({
      f: "[a function]",
      b: "7",
      s: "[a symbol]",
      n: "NaN",
      l: ["[undefined]"],
      m: "[a Map]",
      cyclic: { self: { inner: "[contains itself]" } },
    });
    expect(safeJson(throwing)).toEqual({ brush: "[cannot be read]" });
    expect(safeJson(new Date(0))).toBe("1970-01-01T00:00:00.000Z");
    expect(safeJson(new TypeError("no paint"))).toEqual({ name: "TypeError", message: "no paint" });
  });

  test("makes bounded JSON of everything", () => {
    fc.assert(
      fc.property(anything, (value) => {
        const made = safeJson(value);
        expect(JSON.parse(JSON.stringify(made))).toEqual(made);
      }),
    );
    const huge = {
      text: "a".repeat(5_000_000),
      list: Array.from({ length: 1e6 }, () => "b".repeat(100)),
      deep: deep(5000),
    };
    expect(JSON.stringify(safeJson(huge)).length).toBeLessThan(150_000);
  });

  test("leaves small JSON as it is", () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 4 }), (value) => {
        expect(JSON.stringify(safeJson(value))).toBe(JSON.stringify(value));
      }),
    );
  });
});

it("shortens a text and says how long it was", () => {
  expect(shortText("a hill", 6)).toBe("a hill");
  expect(shortText("a".repeat(5_000_000), 3)).toBe("aaa… (5,000,000 characters)");
});

function split(message: string): [string, string] {
  const at = message.indexOf(": ");
  return [message.slice(0, at), message.slice(at + 2)];
}
