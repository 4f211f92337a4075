import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pino } from "pino";
import { expect, it, onTestFinished } from "vitest";
import { jobEnvelope } from "#contract/job.ts";
import { readConfig } from "#runtime/container/config.ts";
import { openEmbedded } from "#runtime/container/embedded.ts";
import { createMetrics } from "#runtime/observe/metrics/metrics.ts";
import { MetricsRegistry } from "#runtime/observe/metrics/registry.ts";
import { type JobSource, stoppedError, type Taken, type UnreportedEnd } from "#runtime/sources/job-source.ts";
import { Dispatcher } from "./dispatcher.ts";

const log = pino({ level: "silent" });

/** A source that keeps a job in this process, which fails when the container stops. */
async function setUp() {
  const folder = await mkdtemp(join(tmpdir(), "ourvidz-stop-"));
  const embedded = await openEmbedded(readConfig({ DATA_DIR: folder }, () => "own"));
  onTestFinished(async () => {
    await embedded.close();
    await rm(folder, { recursive: true, force: true });
  });
  const ends: UnreportedEnd[] = [];
  const job = jobEnvelope.parse({ id: "kept", type: "noop" });
  const source: JobSource = Object.assign(embedded.source, {
    stopTaking() {
      ends.push({ jobId: "kept", job, run: 1, attempt: 1, status: "failed", error: stoppedError, endedAtMs: 0 });
    },
    take: async (): Promise<Taken> => ({ leases: [], ends: ends.splice(0) }),
  });
  const reported: UnreportedEnd[] = [];
  const dispatcher = new Dispatcher({
    sources: [source],
    executors: new Map(),
    runner: { run: async () => undefined },
    settler: { report: async (_source, more) => void reported.push(...more) },
    log,
    metrics: createMetrics(new MetricsRegistry({ jobTypes: [], log })),
    random: () => 0.5,
  });
  return { dispatcher, reported };
}

it("a source that keeps jobs in this process is notified of the stop, and its ends are reported before the stop is over", async () => {
  const { dispatcher, reported } = await setUp();
  dispatcher.start();
  await dispatcher.stop();
  expect(reported).toMatchObject([{ jobId: "kept", status: "failed", error: { code: "SHUTTING_DOWN" } }]);
});
