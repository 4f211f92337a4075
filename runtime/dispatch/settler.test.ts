import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pino from "pino";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { jobEnvelope } from "#contract/job.ts";
import { callbackMigrations } from "#runtime/delivery/callbacks/callback-log.ts";
import { HttpCallback } from "#runtime/delivery/callbacks/http-callback.ts";
import { Delivery } from "#runtime/delivery/delivery.ts";
import { Outbox } from "#runtime/delivery/outbox.ts";
import { outboxMigrations } from "#runtime/delivery/outbox-migrations.ts";
import { loadHandlers } from "#runtime/job-types/registry.ts";
import { type Database, databaseFile, openDatabase } from "#runtime/lib/database/database.ts";
import { createMetrics } from "#runtime/observe/metrics/metrics.ts";
import { MetricsRegistry } from "#runtime/observe/metrics/registry.ts";
import { traced } from "#runtime/observe/tracing/attempt-trace.ts";
import { noTracing } from "#runtime/observe/tracing/tracing.ts";
import { sourceMigrations } from "#runtime/sources/sqlite/schema.ts";
import { SqliteSource } from "#runtime/sources/sqlite/sqlite-source.ts";
import { testHandlers } from "#test/support/runtime.ts";
import { type CallbackServer, startCallbackServer } from "#test/support/supabase/callback-server.ts";
import { JobEvents } from "./job-events.ts";
import { Settler } from "./settler.ts";

/* Settling against the embedded source, with an app that hears of its jobs by callbacks over HTTP alone. */
class UnreliableSource extends SqliteSource {
  failures = 0;

  override async reported(...[ends]: Parameters<SqliteSource["reported"]>): Promise<void> {
    if (this.failures-- > 0) throw new Error("socket hang up");
    await super.reported(ends);
  }
}

const log = pino({ level: "silent" });
const error = { code: "HANDLER_FAILED", message: "the river is too wide" } as const;
const leaseSeconds = 30;

let folder: string;
let database: Database;
let app: CallbackServer;
let nowMs: number;
let source: UnreliableSource;
let events: JobEvents;
let delivery: Delivery;
let settler: Settler;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "ourvidz-settler-"));
  database = await openDatabase(databaseFile(folder), [
    ...sourceMigrations,
    ...outboxMigrations,
    ...callbackMigrations,
  ]);
  app = await startCallbackServer();
  nowMs = Date.now();
  source = new UnreliableSource(database, { workerId: "container-1", leaseSeconds, nowMs: () => nowMs });
  events = new JobEvents();
  const metrics = createMetrics(new MetricsRegistry({ jobTypes: [], log }));
  const config = { url: app.url, secret: app.secret, assets: "objects" } as const;
  const shared = { events, log, metrics, nowMs: () => nowMs, random: () => 0.5 };
  delivery = new Delivery({
    webhook: { send: async () => undefined, sendBody: async () => undefined },
    stored: { address: async () => null, read: async () => null },
    ...shared,
    outbox: new Outbox(database, { owner: "process-1", nowMs: () => nowMs }),
    store: {
      name: "none",
      put: () => Promise.reject(new Error("there are no files")),
      url: async () => null,
      removeJob: async () => 0,
    },
    callback: new HttpCallback({ config, project: null, nowMs: Date.now }),
    sources: new Map([["sqlite", source]]),
    keepers: new Map(),
    workerId: "container-1",
    concurrency: 1,
  });
  const restore = () => Promise.reject(new Error("the embedded source forgets no job"));
  settler = new Settler({ ...shared, delivery, restore, registry: await loadHandlers(testHandlers) });
});

afterEach(async () => {
  await delivery.stop(1000);
  await app.close();
  database.close();
  rmSync(folder, { recursive: true });
});

async function takenJob(id: string) {
  await source.enqueue(jobEnvelope.parse({ id, type: "noop", user_id: "ann" }), { worker: "test" });
  const { leases } = await source.take([{ worker: "test", slots: 1 }]);
  const [lease] = leases;
  if (lease === undefined) throw new Error("no job was due");
  return traced(noTracing, lease);
}

const attempt = () => ({ ranMs: 0, workFolder: join(folder, "work") });
const takeEnds = async () => (await source.take([{ worker: "nobody", slots: 1 }])).ends;

/** What was reported to the app of the job's end, when nothing is on its way any more. */
async function heard(id: string) {
  const aheadMs = nowMs - Math.floor(performance.now());
  await vi.waitFor(
    () => {
      // Never behind the real time, in which what is tried again is looked for.
      nowMs = Math.max(nowMs + 100, aheadMs + Math.ceil(performance.now()));
      expect(delivery.pending).toBe(0);
    },
    { timeout: 10_000 },
  );
  return app.arrived
    .map(({ callback }) => callback)
    .filter(({ job_id, status }) => job_id === id && status !== "processing")
    .map(({ status, run, attempt: number }) => [status, run, number]);
}

describe("a job that goes back to its queue", () => {
  const requeuing = [
    ["retry", { kind: "retry", error, delaySeconds: 5 }],
    ["release", { kind: "release" }],
  ] as const;

  it.each(requeuing)("by %s is queued, and the app hears nothing", async (_kind, settlement) => {
    const lease = await takenJob("a");
    await settler.settle(source, lease, settlement, attempt());
    expect(await source.get("a")).toMatchObject({ status: "queued" });
    expect(events.replay("a").at(-1)?.event).toMatchObject({ kind: "state", status: "queued" });
    expect(await heard("a")).toEqual([]);
  });

  const yielding = { code: "EXECUTOR_CRASHED", message: "Those of others go first." };
  it.each([
    ["a condition of the container", { kind: "release", condition: error }, error],
    ["others that go first", { kind: "release", delaySeconds: 5, reason: yielding }, yielding],
    ["no reason", { kind: "release" }, null],
  ] as const)("by a release for %s keeps why", async (_name, settlement, reason) => {
    await settler.settle(source, await takenJob("a"), settlement, attempt());
    const kept = (await source.get("a"))?.attempts.at(-1)?.reason;
    expect(kept).toEqual(reason === null ? null : { code: reason.code, message: reason.message });
  });

  it.each(requeuing)("by %s after its cancel was requested ends as cancelled, once", async (_kind, settlement) => {
    const lease = await takenJob("a");
    delivery.sendProcessing(source, lease, 0.5);
    await source.cancel("a");
    await settler.settle(source, lease, settlement, attempt());
    expect(events.replay("a").map(({ event }) => event)).toEqual([{ kind: "state", status: "cancelled", attempt: 1 }]);
    expect(await heard("a")).toEqual([["cancelled", 1, 1]]);
    nowMs += leaseSeconds * 1000 + 1;
    expect(await takeEnds()).toEqual([]);
  });

  it.each(requeuing)("by %s, where its source cannot have it back, ends as failed, once", async (_kind, settlement) => {
    const lease = await takenJob("a");
    vi.spyOn(source, "retry").mockResolvedValue("failed");
    vi.spyOn(source, "release").mockResolvedValue("failed");
    await settler.settle(source, lease, settlement, attempt());
    expect(events.replay("a").map(({ event }) => event)).toMatchObject([
      { kind: "state", status: "failed", attempt: 1, error: { code: "SHUTTING_DOWN" } },
    ]);
    expect(await heard("a")).toEqual([["failed", 1, 1]]);
  });

  it("leaves its end to another container when this one dies before its callback is written down", async () => {
    const lease = await takenJob("a");
    await source.cancel("a");
    expect(await source.retry(lease, { error, delaySeconds: 0 })).toBe("cancelled");
    nowMs += leaseSeconds * 1000 + 1;
    await settler.report(source, await takeEnds());
    expect(await heard("a")).toEqual([["cancelled", 1, 1]]);
  });
});

describe("an end that a take answered", () => {
  it("is reported once, though the source did not hear that it was", async () => {
    await source.enqueue(jobEnvelope.parse({ id: "a", type: "noop" }), { worker: "test" });
    await source.cancel("a");
    source.failures = 1;
    await settler.report(source, await takeEnds());
    nowMs += leaseSeconds * 1000 + 1;
    const again = await takeEnds();
    expect(again).toHaveLength(1);
    await settler.report(source, again);
    expect(await heard("a")).toEqual([["cancelled", 1, 1]]);
    expect(events.replay("a")).toHaveLength(1);
    nowMs += leaseSeconds * 1000 + 1;
    expect(await takeEnds()).toEqual([]);
  });

  it("is recorded once when it is answered again meanwhile, and confirmed only when it is on disk", async () => {
    await source.enqueue(jobEnvelope.parse({ id: "a", type: "noop" }), { worker: "test" });
    await source.cancel("a");
    const { promise: written, resolve } = Promise.withResolvers<void>();
    const record = delivery.reportEnds.bind(delivery);
    vi.spyOn(delivery, "reportEnds").mockImplementationOnce(async (...ends) => {
      await written;
      return await record(...ends);
    });
    const first = settler.report(source, await takeEnds());
    nowMs += leaseSeconds * 1000 + 1;
    await settler.report(source, await takeEnds());
    nowMs += leaseSeconds * 1000 + 1;
    // Were it confirmed, nobody would hear of it should this process die now.
    expect(await takeEnds()).toHaveLength(1);
    resolve();
    await first;
    expect(await heard("a")).toEqual([["cancelled", 1, 1]]);
    expect(events.replay("a")).toHaveLength(1);
    nowMs += leaseSeconds * 1000 + 1;
    expect(await takeEnds()).toEqual([]);
  });

  it("is remembered until its source has heard of it, from the delivery when not from here, and no longer", async () => {
    for (const id of ["a", "b"]) {
      await source.enqueue(jobEnvelope.parse({ id, type: "noop" }), { worker: "test" });
      await source.cancel(id);
    }
    source.failures = 1;
    const ends = await takeEnds();
    expect(ends).toHaveLength(2);
    await settler.report(source, ends);
    expect(settler.unconfirmedEnds).toBe(2);
    expect([await heard("a"), await heard("b")]).toEqual([[["cancelled", 1, 1]], [["cancelled", 1, 1]]]);
    await expect.poll(() => settler.unconfirmedEnds, { timeout: 15_000 }).toBe(0);
  });

  it("is left to a later take when it cannot be written down", async () => {
    await source.enqueue(jobEnvelope.parse({ id: "a", type: "noop" }), { worker: "test" });
    await source.cancel("a");
    const ends = await takeEnds();
    vi.spyOn(delivery, "reportEnds").mockRejectedValueOnce(new Error("the disk is full"));
    await settler.report(source, ends);
    expect(events.replay("a")).toEqual([]);
    nowMs += leaseSeconds * 1000 + 1;
    await settler.report(source, await takeEnds());
    expect(await heard("a")).toEqual([["cancelled", 1, 1]]);
  });
});

it("two runs of one job are two rows of the outbox", async () => {
  const expiring = { id: "a", type: "noop", config: { expires_in_seconds: 1 } };
  await source.enqueue(jobEnvelope.parse(expiring), { worker: "test" });
  app.faults.add({ does: { status: 503 } });
  for (const run of [1, 2]) {
    nowMs += 1001;
    const ends = await takeEnds();
    expect(ends).toMatchObject([{ jobId: "a", run, status: "failed" }]);
    await settler.report(source, ends);
    if (run === 1) await source.redrive("a");
  }
  expect((await heard("a")).toSorted()).toEqual([
    ["failed", 1, 1],
    ["failed", 2, 1],
  ]);
});

it("an end that could not be published is confirmed to its source all the same", async () => {
  await source.enqueue(jobEnvelope.parse({ id: "a", type: "noop", user_id: "ann" }), { worker: "test" });
  await source.cancel("a");
  vi.spyOn(events, "emit").mockImplementationOnce(() => {
    throw new Error("a listener fails");
  });
  await settler.report(source, await takeEnds());
  expect(await heard("a")).toMatchObject([["cancelled", 1, 1]]);
  nowMs += 24 * 60 * 60 * 1000;
  expect(await takeEnds()).toEqual([]);
});
