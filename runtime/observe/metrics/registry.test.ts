import { pino } from "pino";
import { expect, it } from "vitest";
import { parsePrometheus, valuesOf } from "#test/support/prometheus.ts";
import { MetricsRegistry } from "./registry.ts";

function setUp() {
  const lines: string[] = [];
  const log = pino(
    { level: "warn", serializers: { error: pino.stdSerializers.err } },
    { write: (line: string) => void lines.push(line) },
  );
  const registry = new MetricsRegistry({ jobTypes: ["noop"], log });
  return { registry, lines, scrape: async () => parsePrometheus(await registry.text()) };
}

it("keeps what is recorded before the client is loaded", async () => {
  const { registry, scrape } = setUp();
  const counter = registry.counter({ name: "things_total", help: "Things.", labels: ["kind"] });
  const times = registry.histogram({ name: "wait_seconds", help: "Waits.", labels: [], buckets: [1, 10] });
  counter.add({ kind: "a" });
  counter.add({ kind: "a" }, 2);
  times.observe({}, 5);
  await registry.load();
  counter.add({ kind: "a" });
  times.observe({}, 50);
  const families = await scrape();
  expect(valuesOf(families, "things_total", "kind")).toEqual({ a: 4 });
  expect(valuesOf(families, "wait_seconds_bucket", "le")).toEqual({ "1": 0, "10": 1, "+Inf": 2 });
});

it("reads gauges and totals anew at each scrape", async () => {
  const { registry, scrape } = setUp();
  const depth = registry.gauge({ name: "depth", help: "Depth.", labels: ["queue"] });
  const restarts = registry.total({ name: "restarts_total", help: "Restarts.", labels: ["worker"] });
  let scrapes = 0;
  registry.atScrape(() => {
    scrapes += 1;
    depth.clear();
    depth.set({ queue: `queue_${scrapes}` }, scrapes);
    restarts.set({ worker: "test" }, 10 * scrapes);
  });
  await scrape();
  const families = await scrape();
  expect(valuesOf(families, "depth", "queue")).toEqual({ queue_2: 2 });
  expect(valuesOf(families, "restarts_total", "worker")).toEqual({ test: 20 });
});

it("gives an answer although a part of it cannot be read, and logs why", async () => {
  const { registry, lines, scrape } = setUp();
  const counter = registry.counter({ name: "things_total", help: "Things.", labels: [] });
  registry.atScrape(() => Promise.reject(new Error("the disk is gone")));
  counter.add({});
  expect(valuesOf(await scrape(), "things_total")).toEqual({ "": 1 });
  expect(lines.join("")).toContain("the disk is gone");
});

it("makes no series for job types that nobody knows, nor for endless stages and models", async () => {
  const { registry, scrape } = setUp();
  const jobs = registry.counter({ name: "jobs_total", help: "Jobs.", labels: ["type"] });
  const stages = registry.counter({ name: "stages_total", help: "Stages.", labels: ["stage"] });
  const models = registry.counter({ name: "models_total", help: "Models.", labels: ["model"] });
  await registry.load();
  jobs.add({ type: "noop" });
  for (let index = 0; index < 1000; index++) {
    jobs.add({ type: `invented_${index}` });
    stages.add({ stage: `stage_${index}` });
    models.add({ model: `model_${index}` });
  }
  const families = await scrape();
  expect(valuesOf(families, "jobs_total", "type")).toEqual({ noop: 1, unknown: 1000 });
  const all = [...(families.get("stages_total")?.samples ?? []), ...(families.get("models_total")?.samples ?? [])];
  expect(all.length).toBeLessThanOrEqual(102);
  expect(all.reduce((sum, { value }) => sum + value, 0)).toBe(2000);
});

it("adds the metrics of the process, and shares nothing with another registry", async () => {
  const [first, second] = [setUp(), setUp()];
  const description = { name: "things_total", help: "Things.", labels: [] } as const;
  first.registry.counter(description).add({});
  second.registry.counter(description);
  expect(valuesOf(await first.scrape(), "things_total")).toEqual({ "": 1 });
  const families = await second.scrape();
  expect(valuesOf(families, "things_total")).toEqual({ "": 0 });
  expect(valuesOf(families, "process_resident_memory_bytes")[""]).toBeGreaterThan(10_000_000);
  expect(families.has("nodejs_eventloop_lag_p99_seconds")).toBe(true);
});
