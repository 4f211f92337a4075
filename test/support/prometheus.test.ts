import { expect, it } from "vitest";
import { parsePrometheus, valuesOf } from "./prometheus.ts";

const counter = "# HELP a_total Counts.\n# TYPE a_total counter\n";
const histogram = "# HELP b_seconds Times.\n# TYPE b_seconds histogram\n";

it("reads values, labels with escapes, and numbers that are none", () => {
  const text = `${counter}a_total{x="1",y="a \\"b\\" \\\\ c\\nd"} 2\na_total +Inf\n\n# HELP g G.\n# TYPE g gauge\ng NaN\n`;
  const families = parsePrometheus(text);
  expect(families.get("a_total")?.samples).toEqual([
    { name: "a_total", labels: { x: "1", y: 'a "b" \\ c\nd' }, value: 2 },
    { name: "a_total", labels: {}, value: Number.POSITIVE_INFINITY },
  ]);
  expect(valuesOf(families, "a_total", "x")).toEqual({ "1": 2, "": Number.POSITIVE_INFINITY });
  expect(families.get("g")?.samples[0]?.value).toBeNaN();
});

it.each([
  ["no line feed at the end", `${counter}a_total 1`],
  ["a sample without its family", "a_total 1\n"],
  ["a sample of another family", `${counter}b_total 1\n`],
  ["a type without help", "# TYPE a_total counter\na_total 1\n"],
  ["a family twice", `${counter}a_total 1\n${counter}a_total 1\n`],
  ["a series twice", `${counter}a_total{x="1"} 1\na_total{x="1"} 2\n`],
  ["a counter below zero", `${counter}a_total -1\n`],
  ["a value that is no number", `${counter}a_total one\n`],
  ["an unescaped quote", `${counter}a_total{x="a"b"} 1\n`],
  ["a label twice", `${counter}a_total{x="a",x="b"} 1\n`],
  [
    "buckets that shrink",
    `${histogram}b_seconds_bucket{le="1"} 2\nb_seconds_bucket{le="+Inf"} 1\nb_seconds_sum 1\nb_seconds_count 1\n`,
  ],
  [
    "a count that is not the last bucket",
    `${histogram}b_seconds_bucket{le="+Inf"} 1\nb_seconds_sum 1\nb_seconds_count 2\n`,
  ],
  ["a histogram without its sum", `${histogram}b_seconds_bucket{le="+Inf"} 1\nb_seconds_count 1\n`],
])("refuses %s", (_name, text) => {
  expect(() => parsePrometheus(text)).toThrow();
});
