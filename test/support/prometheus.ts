/*
 * Reads Prometheus' text format 0.0.4 as strictly as its own checker does: what is accepted in practice but not by the
 * rules (a family twice, a sample of another family, a histogram that does not add up) is an error here.
 * https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format
 */
export interface Sample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

export interface Family {
  readonly name: string;
  readonly help: string;
  readonly type: string;
  readonly samples: readonly Sample[];
}

const metricName = /^[a-zA-Z_:][a-zA-Z0-9_:]*$/;
const sampleLine = /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)$/;
const labelPart = /([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(?:,|$)/y;
const numberText = /^(?:[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?|[+-]?inf|nan)$/i;
const types = new Set(["counter", "gauge", "histogram", "summary", "untyped"]);

/** @throws Error naming the line that breaks a rule */
export function parsePrometheus(text: string): ReadonlyMap<string, Family> {
  if (!text.endsWith("\n")) throw new Error("the last line must end with a line feed");
  const families = readFamilies(text.split("\n").filter((line) => line !== ""));
  for (const each of families.values()) check(each);
  return families;
}

function readFamilies(lines: readonly string[]): ReadonlyMap<string, Family> {
  const families = new Map<string, Family & { samples: Sample[] }>();
  let family: (Family & { samples: Sample[] }) | undefined;
  let help: { readonly name: string; readonly text: string } | undefined;
  for (const line of lines) {
    const [, keyword, name = "", rest = ""] = /^# (HELP|TYPE) (\S+) (.+)$/.exec(line) ?? [];
    if (keyword === "HELP") {
      if (families.has(name)) throw new Error(`a second HELP of ${name}`);
      help = { name, text: rest };
    } else if (keyword === "TYPE") {
      if (help?.name !== name || !metricName.test(name) || !types.has(rest)) throw new Error(`out of order: ${line}`);
      family = { name, help: help.text, type: rest, samples: [] };
      families.set(name, family);
    } else {
      if (family === undefined || line.startsWith("#")) throw new Error(`unexpected: ${line}`);
      family.samples.push(sampleOf(line, family));
    }
  }
  return families;
}

function sampleOf(line: string, { name: familyName, type }: Family): Sample {
  const [, name, labelText = "", value] = sampleLine.exec(line) ?? [];
  if (name === undefined || value === undefined || !numberText.test(value)) throw new Error(`not a sample: ${line}`);
  const suffixes = type === "histogram" ? ["_bucket", "_sum", "_count"] : [""];
  if (!suffixes.some((suffix) => name === familyName + suffix)) throw new Error(`not of ${familyName}: ${line}`);
  const inf = /^([+-]?)inf$/i.exec(value);
  const number = inf === null ? Number(value.toLowerCase() === "nan" ? "NaN" : value) : Number(`${inf[1]}Infinity`);
  return { name, labels: labelsOf(labelText, line), value: number };
}

function labelsOf(text: string, line: string): Record<string, string> {
  const labels: Record<string, string> = {};
  labelPart.lastIndex = 0;
  while (labelPart.lastIndex < text.length) {
    const [, name, value] = labelPart.exec(text) ?? [];
    if (name === undefined || value === undefined || name in labels) throw new Error(`bad labels: ${line}`);
    labels[name] = value.replaceAll(/\\(.)/g, (_all, escaped: string) => (escaped === "n" ? "\n" : escaped));
  }
  return labels;
}

function check({ name, type, samples }: Family): void {
  const series = samples.map((sample) => `${sample.name}${key(sample.labels)}`);
  const twice = series.find((each, index) => series.indexOf(each) !== index);
  if (twice !== undefined) throw new Error(`the series ${twice} is there twice`);
  if (type === "counter" && samples.some(({ value }) => !(value >= 0))) throw new Error(`${name} counts downwards`);
  if (type === "histogram") checkHistogram(name, samples);
}

function checkHistogram(name: string, samples: readonly Sample[]): void {
  const groups = Map.groupBy(samples, ({ labels: { le: _bound, ...rest } }) => key(rest));
  for (const [labels, group] of groups) {
    const buckets = group.filter((sample) => sample.name === `${name}_bucket`);
    const bounds = buckets.map(({ labels: { le } }) => (le === "+Inf" ? Number.POSITIVE_INFINITY : Number(le)));
    const counts = buckets.map(({ value }) => value);
    const total = group.find((sample) => sample.name === `${name}_count`)?.value;
    const isSorted = (values: readonly number[]) =>
      values.every((value, i) => i === 0 || value >= (values[i - 1] ?? 0));
    const hasSum = group.some((sample) => sample.name === `${name}_sum`);
    if (!isSorted(bounds) || !isSorted(counts) || bounds.at(-1) !== Infinity || counts.at(-1) !== total || !hasSum)
      throw new Error(`the histogram ${name}${labels} does not add up`);
  }
}

function key(labels: Readonly<Record<string, string>>): string {
  return JSON.stringify(Object.entries(labels).toSorted());
}

/** Values of one metric, keyed by the labels in the order given: `completed`, `sdxl,completed`. */
export function valuesOf(
  families: ReadonlyMap<string, Family>,
  name: string,
  ...labels: readonly string[]
): Record<string, number> {
  const samples = [...families.values()].flatMap((family) => family.samples.filter((sample) => sample.name === name));
  return Object.fromEntries(
    samples.map((sample) => [labels.map((label) => sample.labels[label]).join(), sample.value]),
  );
}
