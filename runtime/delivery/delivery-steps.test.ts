import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pino } from "pino";
import { expect, it, onTestFinished } from "vitest";
import type { ErrorReport } from "#contract/errors.ts";
import { jobEnvelope } from "#contract/job.ts";
import { emulatedType } from "#runtime/endpoints/endpoint-job.ts";
import { databaseFile, openDatabase } from "#runtime/lib/database/database.ts";
import { createMetrics } from "#runtime/observe/metrics/metrics.ts";
import { MetricsRegistry } from "#runtime/observe/metrics/registry.ts";
import type { JobResult, LeaseKey, SettleOutcome } from "#runtime/sources/job-source.ts";
import { sourceMigrations } from "#runtime/sources/sqlite/schema.ts";
import { SqliteSource } from "#runtime/sources/sqlite/sqlite-source.ts";
import type { Callback } from "./callbacks/callback.ts";
import { DeliveryGates } from "./delivery-gates.ts";
import { DeliverySteps } from "./delivery-steps.ts";
import { EndConfirmations } from "./end-confirmations.ts";
import { FinalReports } from "./final-reports.ts";
import { LeaseHolds } from "./lease-holds.ts";
import { Outbox } from "./outbox.ts";
import { outboxMigrations } from "./outbox-migrations.ts";

const log = pino({ level: "silent" });
const metrics = createMetrics(new MetricsRegistry({ jobTypes: [], log }));
const nowMs = () => Date.parse("2026-01-01T00:00:00Z");
const unused = () => Promise.reject(new Error("no step of these tests needs it"));

/** Fails its first settling, and may refuse a result. */
class RefusingSource extends SqliteSource {
  refusal: ErrorReport | null = null;
  fails = true;

  async refusalOf(): Promise<ErrorReport | null> {
    return this.refusal;
  }

  override async complete(lease: LeaseKey, result: JobResult): Promise<SettleOutcome> {
    if (this.fails) {
      this.fails = false;
      throw new Error("socket hang up");
    }
    return super.complete(lease, result);
  }
}

async function open(send: Callback["send"]) {
  const folder = await mkdtemp(join(tmpdir(), "ourvidz-steps-"));
  const database = await openDatabase(databaseFile(folder), [...sourceMigrations, ...outboxMigrations]);
  const source = new RefusingSource(database, { workerId: "w", leaseSeconds: 30, nowMs });
  onTestFinished(async () => {
    await source.close();
    database.close();
    await rm(folder, { recursive: true });
  });
  const outbox = new Outbox(database, { owner: "this", nowMs });
  const sources = new Map([["sqlite", source]]);
  const store = { name: "none", put: unused, url: unused, removeJob: unused };
  const shared = { outbox, log, metrics, store, callback: { name: "app", send }, random: () => 0.5 };
  const gates = new DeliveryGates({ ...shared, onOpened: () => undefined });
  const rest = { ...shared, gates, nowMs, stored: { address: unused, read: unused } };
  const webhook = { send: unused, sendBody: unused };
  const reports = new FinalReports({ ...rest, webhook, progressSent: async () => undefined });
  const confirmations = new EndConfirmations(sources);
  const leases = new LeaseHolds({ ...rest, sources, keepers: new Map() });
  const steps = new DeliverySteps({ ...rest, leases, confirmations, reports, sources });
  return { folder, source, outbox, steps, gates, reports };
}

it("keeps a job completed that the app was notified of, although its source refuses the result when it is settled again", async () => {
  const sent: string[] = [];
  const { folder, source, outbox, steps } = await open(async ({ status }) => void sent.push(status));
  await source.enqueue(jobEnvelope.parse({ id: "a", type: "noop", user_id: "ann" }), { worker: "test" });
  const [lease] = (await source.take([{ worker: "test", slots: 1 }])).leases;
  if (lease === undefined) throw new Error("no job was due");
  const { jobId, token, attempt, run } = lease;
  const callback = { job_id: jobId, attempt, status: "completed" as const, assets: [], metadata: {} };
  const row = await outbox.record(
    {
      source: "sqlite",
      lease: { jobId, token, attempt, run },
      ...{ ended: false, forWebhook: false, bucket: "noop", userId: "ann", files: [], workFolder: folder },
      settlement: { kind: "complete" },
      callback: { ...callback, timestamp: new Date(nowMs()).toISOString(), job_type: "noop", user_id: "ann" },
    },
    false,
  );
  if (row === null) throw new Error("another process has the row");
  const signal = new AbortController().signal;
  await expect(steps.run(row, signal)).rejects.toThrow("socket hang up");
  source.refusal = { code: "NO_ASSETS", message: "Its files are gone." };
  // As the next process reads it.
  const [again] = (await Array.fromAsync(outbox.claims.claimDue(new Set()))).flat();
  if (again === undefined) throw new Error("the row is gone");
  expect(await steps.run(again, signal)).toMatchObject({ outcome: "completed" });
  expect(await source.get("a")).toMatchObject({ status: "completed" });
  expect(sent).toEqual(["completed"]);
});

it("ends the job of an emulated endpoint while the app is away, and does not take that for the app's answer", async () => {
  const { outbox, steps, gates, reports } = await open(async () => {
    throw new Error("the app is away");
  });
  const { signal } = new AbortController();
  const record = async (jobId: string, type: string) => {
    const lease = { jobId, token: "", attempt: 1, run: 1 };
    const callback = {
      job_id: jobId,
      attempt: 1,
      status: "cancelled" as const,
      assets: [],
      metadata: { job_type: type },
    };
    const kept = { ended: true, forWebhook: false, bucket: "noop", userId: "ann", files: [], workFolder: "" };
    const row = await outbox.record(
      { source: "sqlite", lease, ...kept, settlement: { kind: "cancelled" }, callback },
      false,
    );
    if (row === null) throw new Error("another process has the row");
    return row;
  };
  for (const id of ["a", "b", "c"]) await expect(steps.run(await record(id, "noop"), signal)).rejects.toThrow();
  expect(gates.isAppAway).toBe(true);
  const row = await record("emulated", emulatedType);
  expect(gates.waitsOf([row], (each) => reports.needsNobody(each))).toMatchObject([{ waitMs: 0 }]);
  expect(await steps.run(row, signal)).toMatchObject({ outcome: "cancelled" });
  expect(gates.isAppAway).toBe(true);
});
