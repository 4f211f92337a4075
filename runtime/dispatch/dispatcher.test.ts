import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pino } from "pino";
import { expect, it, onTestFinished, vi } from "vitest";
import { jobEnvelope } from "#contract/job.ts";
import { readConfig } from "#runtime/container/config.ts";
import { openEmbedded } from "#runtime/container/embedded.ts";
import { Executor } from "#runtime/executor/parent/executor.ts";
import { createMetrics } from "#runtime/observe/metrics/metrics.ts";
import { MetricsRegistry } from "#runtime/observe/metrics/registry.ts";
import { testHandlers } from "#test/support/runtime.ts";
import { Dispatcher } from "./dispatcher.ts";
import type { JobRunner } from "./job-runner.ts";

const log = pino({ level: "silent" });
const worker = "test";

/** A container that has not looked at its models yet, and another one on the same queue. Leases last a second. */
async function setUp() {
  const folder = await mkdtemp(join(tmpdir(), "ourvidz-dispatcher-"));
  const open = (name: string) => openEmbedded(readConfig({ DATA_DIR: folder, LEASE_SECONDS: "1" }, () => name));
  const [own, other] = [await open("own"), await open("other")];
  const settings = { worker, handlersFolder: testHandlers, modelsFolder: folder, cacheFolder: folder };
  const executor = new Executor({ ...settings, log: { level: "silent", format: "json" } }, log, {
    restartMaxMs: 500,
    stoppedMaxMs: 60_000,
  });
  executor.start();
  const checked = Promise.withResolvers<void>();
  const run = vi.fn<JobRunner["run"]>(async () => undefined);
  const dispatcher = new Dispatcher({
    sources: [own.source],
    executors: new Map([[worker, executor]]),
    runner: { run },
    settler: { report: async () => undefined },
    offers: { of: () => undefined, checked: checked.promise },
    log,
    metrics: createMetrics(new MetricsRegistry({ jobTypes: [], log })),
    random: () => 0.5,
  });
  onTestFinished(async () => {
    checked.resolve();
    await dispatcher.stop();
    await executor.stop(1000);
    await Promise.all([own.close(), other.close()]);
    await rm(folder, { recursive: true, force: true });
  });
  await own.source.enqueue(jobEnvelope.parse({ id: "job", type: "noop" }), { worker });
  const renew = vi.spyOn(own.source, "renew");
  dispatcher.start();
  await expect.poll(async () => (await own.source.get("job"))?.status).toBe("running");
  return { other: other.source, checked, run, renew };
}

it("does not run a job whose lease ran out while it waited for the container's first look, and another one has taken", async () => {
  const { other, checked, run, renew } = await setUp();
  const taken = async () => (await other.take([{ worker, slots: 1 }])).leases.length;
  await expect.poll(taken).toBe(1);
  checked.resolve();
  await expect.poll(() => renew.mock.settledResults.at(-1)).toMatchObject({ type: "fulfilled", value: ["lost"] });
  expect(run).not.toHaveBeenCalled();
});

it("runs one that has waited and nobody has taken, with its lease renewed", async () => {
  const { checked, run, renew } = await setUp();
  // A good part of the lease.
  await new Promise((resolve) => setTimeout(resolve, 500));
  const before = performance.now();
  checked.resolve();
  await expect.poll(() => run.mock.calls.length).toBe(1);
  expect(renew.mock.calls).toHaveLength(1);
  const [, lease, takenAtMs] = run.mock.calls[0] ?? [];
  expect(lease).toMatchObject({ jobId: "job", attempt: 1 });
  expect(takenAtMs).toBeGreaterThanOrEqual(before);
});

it("gives one back, uncharged, whose lease cannot be renewed after it has waited", async () => {
  const { checked, run, renew } = await setUp();
  renew.mockRejectedValueOnce(new Error("connection refused"));
  // A good part of the lease.
  await new Promise((resolve) => setTimeout(resolve, 500));
  checked.resolve();
  await expect.poll(() => run.mock.calls.length).toBe(1);
  expect(renew.mock.calls.length).toBeGreaterThan(0);
  expect(run.mock.calls[0]?.[1]).toMatchObject({ jobId: "job", attempt: 1 });
});
