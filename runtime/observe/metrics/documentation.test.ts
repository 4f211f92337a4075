import { readFile } from "node:fs/promises";
import { pino } from "pino";
import { beforeAll, describe, expect, it } from "vitest";
import { z } from "zod";
import { type Family, parsePrometheus } from "#test/support/prometheus.ts";
import { createMetrics } from "./metrics.ts";
import { readAtScrape } from "./readings.ts";
import { MetricsRegistry } from "./registry.ts";

/* The page and the dashboard are kept in step with the metrics that there are. */
const page = new URL("../../../docs/11-metrics.md", import.meta.url);
const dashboard = new URL("../../../docs/grafana-dashboard.json", import.meta.url);
const registry = new MetricsRegistry({ jobTypes: [], log: pino({ level: "silent" }) });
const usage = {
  commands: 0,
  commandsByOperation: {},
  requests: 0,
  commandsPerHour: 0,
  estimatedDollarsPerMonth: 0,
};
let families: ReadonlyMap<string, Family>;

beforeAll(async () => {
  createMetrics(registry);
  readAtScrape(registry, {
    workerId: "test",
    dispatcher: { state: "running", activeJobs: 0, troubles: [] },
    calls: { waiting: () => 0, has: () => false },
    executors: new Map(),
    offers: { all: new Map(), conditions: [], quarantined: [] },
    outbox: { backlog: () => ({ rows: 0, oldestSeconds: 0 }) },
    queueReadings: new Map(),
    gpu: { read: async () => null },
    sources: new Map([
      [
        "upstash",
        {
          paid: { usage: () => usage },
          undecodable: { count: 0, repeated: 0, list: async () => [], discard: async () => 0 },
        },
      ],
    ]),
  });
  families = parsePrometheus(await registry.text());
});

describe("every metric", () => {
  it.each([
    ["has a help text that is a sentence", ({ help }: Family) => /^.{10,}\.$/.test(help)],
    [
      "counts in a name that ends in _total",
      ({ name, type }: Family) => (type === "counter") === name.endsWith("_total"),
    ],
    [
      "measures times in seconds and sizes in bytes",
      ({ name }: Family) => !/_(ms|milliseconds|minutes|kb|mb|mib)\b/.test(name),
    ],
    [
      "of a histogram names its unit last",
      ({ name, type }: Family) => type !== "histogram" || name.endsWith("_seconds"),
    ],
  ])("%s", (_rule, holds) => {
    const own = [...families.values()].filter(({ name }) => name.startsWith("ourvidz_"));
    expect(own.length).toBeGreaterThan(30);
    expect(own.filter((family) => !holds(family)).map(({ name }) => name)).toEqual([]);
  });

  it("of this project is named after it, and those of the process have help too", () => {
    const names = registry.known.map(({ name }) => name);
    expect(names.filter((name) => !name.startsWith("ourvidz_"))).toEqual([]);
    expect([...families.values()].filter(({ help }) => help === "").map(({ name }) => name)).toEqual([]);
  });
});

it("is in the table of the page, and nothing else is", async () => {
  const rows = (await readFile(page, "utf8")).split("\n").filter((line) => line.startsWith("| `ourvidz_"));
  const expected = registry.known.map(({ name, kind, labels, help }) => {
    const named = labels.map((label) => `\`${label}\``).join(", ");
    return `| \`${name}\` | ${kind} | ${named} | ${help} |`;
  });
  expect(rows).toEqual(expected);
});

describe("the dashboard", () => {
  const panel = z.looseObject({
    id: z.number(),
    type: z.string(),
    title: z.string().min(1),
    datasource: z.object({ type: z.literal("prometheus"), uid: z.literal("$" + "{datasource}") }).optional(),
    gridPos: z.object({ x: z.number(), y: z.number(), w: z.number(), h: z.number() }),
    targets: z.array(z.looseObject({ refId: z.string(), expr: z.string() })).default([]),
  });
  const model = z.looseObject({
    title: z.string(),
    schemaVersion: z.number().min(38),
    panels: z.array(panel),
    templating: z.object({ list: z.array(z.looseObject({ name: z.string(), type: z.string() })) }),
  });
  const read = async () => model.parse(JSON.parse(await readFile(dashboard, "utf8")));

  it("asks for metrics that there are, and for every one of this project", async () => {
    const { panels } = await read();
    const expressions = panels.flatMap(({ targets }) => targets.map(({ expr }) => expr));
    const queried = new Set(
      expressions.flatMap((text) => text.match(/\b(?:ourvidz|process|nodejs)_[a-z0-9_]+/g) ?? []),
    );
    const there = new Set(
      [...families.values()].flatMap(({ name, type }) =>
        type === "histogram" ? ["_bucket", "_sum", "_count"].map((suffix) => name + suffix) : [name],
      ),
    );
    expect([...queried].filter((name) => !there.has(name))).toEqual([]);
    const isShown = ({ name }: { name: string }) =>
      [...queried].some((each) => each.replace(/_(bucket|sum|count)$/, "") === name);
    expect(registry.known.filter((metric) => !isShown(metric)).map(({ name }) => name)).toEqual([]);
  });

  it("asks for labels that the metrics have", async () => {
    const { panels } = await read();
    const known = new Set([...registry.known.flatMap(({ labels }) => labels), "instance", "le"]);
    const labels = panels.flatMap(({ targets }) =>
      targets.flatMap(({ expr }) => [
        ...[...expr.matchAll(/\b(?:by|on) \(([^)]*)\)/g)].flatMap(([, list = ""]) => list.split(/, */)),
        ...[...expr.matchAll(/([a-z_]+)(?:=~|!=|=)"/g)].map(([, name = ""]) => name),
      ]),
    );
    expect(labels.length).toBeGreaterThan(50);
    expect(labels.filter((label) => !known.has(label))).toEqual([]);
  });

  it("lets its data source and the container be chosen, and has no two panels in one place", async () => {
    const { panels, templating } = await read();
    expect(templating.list.map(({ name, type }) => [name, type])).toEqual([
      ["datasource", "datasource"],
      ["instance", "query"],
    ]);
    expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length);
    expect(panels.filter(({ type, datasource }) => type !== "row" && datasource === undefined)).toEqual([]);
    const cells = panels.flatMap(({ gridPos: { x, y, w, h } }) =>
      Array.from({ length: w * h }, (_, cell) => `${x + (cell % w)},${y + Math.floor(cell / w)}`),
    );
    expect(new Set(cells).size).toBe(cells.length);
    expect(panels.filter(({ gridPos }) => gridPos.x + gridPos.w > 24)).toEqual([]);
  });
});
