import { setTimeout as pause } from "node:timers/promises";
import { pino } from "pino";
import { expect, it } from "vitest";
import { parsePrometheus, valuesOf } from "#test/support/prometheus.ts";
import { watchEventLoop } from "./event-loop.ts";
import { createMetrics } from "./metrics/metrics.ts";
import { MetricsRegistry } from "./metrics/registry.ts";

const name = "ourvidz_event_loop_delay_seconds_bucket";

it("shows how long something computed on the loop, and logs it", async () => {
  const lines: string[] = [];
  const log = pino({ level: "warn" }, { write: (line: string) => void lines.push(line) });
  const registry = new MetricsRegistry({ jobTypes: [], log });
  const later = async () => valuesOf(parsePrometheus(await registry.text()), name, "le");
  const metrics = createMetrics(registry);
  await registry.load();
  const stop = watchEventLoop({ metrics, log });
  await pause(60);
  const before = await later();
  const until = performance.now() + 400;
  while (performance.now() < until);
  await pause(60);
  stop();
  const after = await later();
  const longer = (values: Readonly<Record<string, number>>, bound: string) =>
    (values["+Inf"] ?? 0) - (values[bound] ?? 0);
  expect(longer(after, "0.25") - longer(before, "0.25")).toBe(1);
  expect(longer(after, "2.5") - longer(before, "2.5")).toBe(0);
  expect(before["+Inf"]).toBeGreaterThan(0);
  expect(lines.join("")).toMatch(/"delay_ms":[34]\d\d,.*the event loop was blocked/);
});
