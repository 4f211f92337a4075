import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setImmediate as turn } from "node:timers/promises";
import { pino } from "pino";
import { expect, it, onTestFinished } from "vitest";
import { jobEnvelope } from "#contract/job.ts";
import { readConfig } from "#runtime/container/config.ts";
import { openEmbedded } from "#runtime/container/embedded.ts";
import { createMetrics } from "#runtime/observe/metrics/metrics.ts";
import { MetricsRegistry } from "#runtime/observe/metrics/registry.ts";
import {
  type JobSource,
  type Lease,
  stoppedError,
  type Taken,
  type UnreportedEnd,
} from "#runtime/sources/job-source.ts";
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
  const late: Lease[] = [];
  const job = jobEnvelope.parse({ id: "kept", type: "noop" });
  const source: JobSource = Object.assign(embedded.source, {
    async stopTaking() {
      // Something is still coming in.
      await turn();
      ends.push({ jobId: "kept", job, run: 1, attempt: 1, status: "failed", error: stoppedError, endedAtMs: 0 });
    },
    take: async (): Promise<Taken> => ({ leases: late.splice(0), ends: ends.splice(0) }),
    release: async () => "failed" as const,
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
  return { dispatcher, reported, late };
}

it("a source that keeps jobs in this process is notified of the stop, and its ends are reported before the stop is over", async () => {
  const { dispatcher, reported } = await setUp();
  dispatcher.start();
  await dispatcher.stop();
  expect(reported).toMatchObject([{ jobId: "kept", status: "failed", error: { code: "SHUTTING_DOWN" } }]);
});

it("a job that came too late, and that its source could not have back, is reported as its end too", async () => {
  const { dispatcher, reported, late } = await setUp();
  dispatcher.start();
  const job = jobEnvelope.parse({ id: "late", type: "noop" });
  const times = { queuedAtMs: 0, takenAtMs: 0, expiresAtMs: 0 };
  late.push({ jobId: "late", job, token: "t", attempt: 1, run: 1, ...times });
  await dispatcher.stop();
  expect(reported).toContainEqual(
    expect.objectContaining({ jobId: "late", run: 1, attempt: 1, status: "failed", error: stoppedError }),
  );
});
