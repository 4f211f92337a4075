import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pino } from "pino";
import { expect, it, onTestFinished, vi } from "vitest";
import { jobEnvelope } from "#contract/job.ts";
import { Dispatcher } from "#runtime/dispatch/dispatcher.ts";
import type { JobRunner } from "#runtime/dispatch/job-runner.ts";
import { Executor } from "#runtime/executor/parent/executor.ts";
import { createMetrics } from "#runtime/observe/metrics/metrics.ts";
import { MetricsRegistry } from "#runtime/observe/metrics/registry.ts";
import { testHandlers } from "#test/support/runtime.ts";
import { openSource, request } from "./testing/open-source.ts";

const log = pino({ level: "silent" });
const worker = "test";
const job = (id: string) => ({ id, input: { prompt: "a lake" } });

/** A container of an endpoint, but for what runs its jobs. */
async function setUp() {
  const handler = { worker, input: jobEnvelope };
  const received: unknown[] = [];
  const lines = { write: (line: string) => void received.push(JSON.parse(line).runpod_id) };
  const options = { handlerOf: () => handler, maxConcurrency: 2, log: pino({ level: "info" }, lines) };
  const { server, source } = await openSource(options);
  const folder = await mkdtemp(join(tmpdir(), "ourvidz-pause-"));
  const settings = { worker, handlersFolder: testHandlers, modelsFolder: folder, cacheFolder: folder };
  const executor = new Executor({ ...settings, log: { level: "silent", format: "json" } }, log, {
    restartMaxMs: 500,
    stoppedMaxMs: 60_000,
  });
  executor.start();
  const run = vi.fn<JobRunner["run"]>(async () => undefined);
  const dispatcher = new Dispatcher({
    sources: [source],
    executors: new Map([[worker, executor]]),
    runner: { run },
    settler: { report: async () => undefined },
    log,
    metrics: createMetrics(new MetricsRegistry({ jobTypes: [], log })),
    random: () => 0.5,
  });
  onTestFinished(async () => {
    await dispatcher.stop();
    await executor.stop(1000);
    await rm(folder, { recursive: true, force: true });
  });
  dispatcher.start();
  await expect.poll(() => server.openTakes).toBe(1);
  const leased = () => run.mock.calls.map(([, lease]) => lease.requestId);
  return { server, dispatcher, received, leased };
}

it("a container that is paused asks RunPod for no jobs, and goes on when it is resumed", async () => {
  const { server, dispatcher, leased } = await setUp();
  dispatcher.pause();
  await expect.poll(() => server.openTakes).toBe(0);
  const polls = server.takes.length;
  server.give(job("a"));
  // Another poll would have come before the last of these, with the job as its answer.
  for (let trips = 0; trips < 10; trips++) await fetch(`${server.url}/ping`);
  expect(server.takes).toHaveLength(polls);
  dispatcher.resume();
  await expect.poll(leased).toEqual(["a"]);
});

it("a job that was coming in at the pause waits here until the container is resumed", async () => {
  const { server, dispatcher, received, leased } = await setUp();
  const { begun, end } = server.slowTake(JSON.stringify(job("a")));
  server.give(job("first"));
  await expect.poll(leased).toEqual(["first"]);
  await begun;
  dispatcher.pause();
  end();
  await expect.poll(() => received).toEqual(["first", "a"]);
  expect(leased()).toEqual(["first"]);
  dispatcher.resume();
  await expect.poll(leased).toEqual(["first", "a"]);
});

it("a poll that is broken off is begun anew by the next wait for jobs", async () => {
  const { server, source, takeOne } = await openSource();
  await source.take(request());
  const waiting = new AbortController();
  const wait = source.waitForChange(60_000, waiting.signal, "jobs");
  await expect.poll(() => server.openTakes).toBe(1);
  waiting.abort();
  await wait;
  source.pauseTaking();
  await expect.poll(() => server.openTakes).toBe(0);
  server.give(job("a"));
  expect(await takeOne()).toMatchObject({ jobId: "a" });
});
