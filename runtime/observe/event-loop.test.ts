import { pino } from "pino";
import { expect, it, onTestFinished } from "vitest";
import { parsePrometheus, valuesOf } from "#test/support/prometheus.ts";
import { type WatchedLoop, watchEventLoop } from "./event-loop.ts";
import { createMetrics } from "./metrics/metrics.ts";
import { MetricsRegistry } from "./metrics/registry.ts";

const name = "ourvidz_event_loop_delay_seconds_bucket";

async function watched(clock: Pick<WatchedLoop, "monotonicMs"> = {}) {
  const lines: string[] = [];
  const log = pino({ level: "warn" }, { write: (line: string) => void lines.push(line) });
  const registry = new MetricsRegistry({ jobTypes: [], log });
  const metrics = createMetrics(registry);
  await registry.load();
  onTestFinished(watchEventLoop({ metrics, log, ...clock }));
  const buckets = async () => valuesOf(parsePrometheus(await registry.text()), name, "le");
  /** How many samples there are, or of these how many that are longer. */
  const samples = async () => (await buckets())["+Inf"] ?? 0;
  const longer = async (bound: string) => (await samples()) - ((await buckets())[bound] ?? 0);
  return { lines, samples, longer };
}

it("shows each delay of the loop, and logs one that is worth a line", async () => {
  // Each look at the clock is one sample, which comes on time.
  let clockMs = 0;
  const { lines, samples, longer } = await watched({ monotonicMs: () => (clockMs += 20) });
  await expect.poll(samples).toBeGreaterThan(2);
  expect([await longer("0.25"), lines]).toEqual([0, []]);
  clockMs += 400;
  await expect.poll(() => longer("0.25")).toBe(1);
  expect(await longer("2.5")).toBe(0);
  expect(lines.join("")).toMatch(/"delay_ms":400,.*the event loop was blocked/);
  const before = await samples();
  await expect.poll(samples).toBeGreaterThan(before + 2);
  expect(await longer("0.25")).toBe(1);
});

it("sees what computes on the loop", async () => {
  const { lines, longer } = await watched();
  const before = await longer("0.25");
  const until = performance.now() + 400;
  while (performance.now() < until);
  await expect.poll(() => longer("0.25")).toBeGreaterThan(before);
  expect(lines.join("")).toContain("the event loop was blocked");
});
