import { expect, it } from "vitest";
import { JobQueues } from "#runtime/sources/job-queues.ts";
import type { QueueStats } from "#runtime/sources/job-source.ts";
import { openHarness } from "#runtime/sources/sqlite/testing/sqlite-harness.ts";
import { EndedReadings, loadOf } from "./endpoint-health.ts";

it("counts what waits, also for its time, and what runs, over all queues of the worker", async () => {
  const harness = await openHarness({ durable: false });
  const stats = (queue: string, queued: number, delayed: number, running: number): QueueStats => ({
    ...{ queue, queued, delayed, running, failed: 9, oldestQueuedSeconds: null, unoffered: [], pausedSinceMs: null },
  });
  const first = Object.assign(Object.create(harness.queue), {
    stats: async () => [stats("lakes_queue", 5000, 2, 3), stats("rivers_queue", 7, 0, 0)],
  });
  const second = Object.assign(Object.create(harness.queue), { stats: async () => [stats("lakes_queue", 1, 0, 1)] });
  const queue = new JobQueues(new Map([...Object.entries({ first, second })]));
  expect(await loadOf(queue, "lakes")).toEqual({ inQueue: 5003, inProgress: 4 });
  expect(await loadOf(queue, undefined)).toEqual({ inQueue: 5010, inProgress: 4 });
  expect(await loadOf(queue, "seas")).toEqual({ inQueue: 0, inProgress: 0 });
  await harness.close();
});

it("counts ended jobs again after a while, and at once when that has failed", async () => {
  let nowMs = 0;
  let completed = 0;
  const readings = new EndedReadings(() => nowMs);
  const read = async () => ({ completed: ++completed, failed: 0 });
  expect(await readings.of("lakes", read)).toMatchObject({ completed: 1 });
  expect(await readings.of("lakes", read)).toMatchObject({ completed: 1 });
  expect(await readings.of("rivers", read)).toMatchObject({ completed: 2 });
  nowMs = 5000;
  const away = Promise.reject(new Error("the queue is away"));
  await expect(readings.of("lakes", () => away)).rejects.toThrow("away");
  expect(await readings.of("lakes", read)).toMatchObject({ completed: 3 });
});
