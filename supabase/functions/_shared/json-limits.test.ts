import { performance } from "node:perf_hooks";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { excessOf, jobLimits } from "./json-limits.ts";

const limits = { values: 10, names: 3, levels: 4 };
const excess = (json: string) => excessOf(json, limits)?.message ?? null;

describe("excessOf", () => {
  it.each([
    ["[0,0,0,0,0,0,0,0,0]", null],
    ["[0,0,0,0,0,0,0,0,0,0]", "has more than 10 values"],
    ["[[],[],[],[],[]]", "has more than 10 values"],
    ['{"a":1,"b":2,"c":3}', null],
    ['{"a":1,"b":2,"c":3,"d":4}', "has more than 3 names in one object"],
    ['{"a":{"b":1,"c":2,"d":3},"e":{"f":1}}', null],
    ['{"a":[{"b":1,"c":2,"d":3}],"e":2,"f":3,"g":4}', "has more than 3 names in one object"],
    ["[[[[]]]]", null],
    ["[[[[[]]]]]", "is nested deeper than 4 levels"],
    [`"${",:[{".repeat(100)}"`, null],
    [`{"${",:[{".repeat(100)}":"\\",,,,,,,,,,,,,,\\\\\\""}`, null],
    [`["\\\\",0,0,0,0,0,0,0,0,0]`, "has more than 10 values"],
    [`"unfinished ,,,,,,,,,,,,,,,,`, null],
    ["]]]]]][[[[", null],
    ["", null],
  ])("%s", (json, expected) => {
    expect(excess(json)).toBe(expected);
  });

  it("refuses no JSON that is within the limits, whatever its texts and white space", () => {
    fc.assert(
      fc.property(fc.json({ maxDepth: 4 }), fc.integer({ min: 0, max: 2 }), (json, indent) => {
        const value: unknown = JSON.parse(json);
        const written = JSON.stringify(value, null, indent);
        const counted = countOf(value);
        expect(excessOf(written, counted)).toBeNull();
        if (counted.values > 1) expect(excessOf(written, { ...counted, values: counted.values - 1 })).not.toBeNull();
      }),
    );
  });

  it.each([
    ["white space", " ".repeat(4_000_000)],
    ["a text of backslashes", `"${"\\".repeat(4_000_000)}"`],
    ["quotes", '"'.repeat(4_000_000)],
    ["escaped quotes", `"${'\\"'.repeat(2_000_000)}"`],
    ["closings", "]".repeat(4_000_000)],
  ])("takes a time that grows with the length alone: %s", (_what, json) => {
    const startedAtMs = performance.now();
    excessOf(json, jobLimits);
    // A tenth of a second on an idle machine; minutes, where it grows with the square.
    expect(performance.now() - startedAtMs).toBeLessThan(5000);
  });
});

/** What `excessOf` counts, counted in the value: every comma is a further value, and every list and object is one. */
function countOf(root: unknown): { values: number; names: number; levels: number } {
  let [values, names, levels] = [1, 0, 0];
  const visit = (value: unknown, level: number): void => {
    if (typeof value !== "object" || value === null) return;
    const children = Object.values(value);
    values += 1 + Math.max(children.length - 1, 0);
    if (!Array.isArray(value)) names = Math.max(names, children.length);
    levels = Math.max(levels, level);
    for (const child of children) visit(child, level + 1);
  };
  visit(root, 1);
  return { values, names, levels };
}
