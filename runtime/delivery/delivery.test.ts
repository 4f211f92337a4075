import { randomUUID } from "node:crypto";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pino } from "pino";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { z } from "zod";
import type { JobCallback } from "#contract/callback.ts";
import { type ErrorReport, PermanentError } from "#contract/errors.ts";
import { jobEnvelope } from "#contract/job.ts";
import { JobEvents } from "#runtime/dispatch/job-events.ts";
import { LeaseKeeper } from "#runtime/dispatch/lease-keeper.ts";
import { WorkFolder } from "#runtime/executor/child/work-folder.ts";
import { type Database, databaseFile, openDatabase } from "#runtime/lib/database/database.ts";
import { createMetrics } from "#runtime/observe/metrics/metrics.ts";
import { MetricsRegistry } from "#runtime/observe/metrics/registry.ts";
import type { JobResult, Lease, LeaseKey, ResultFiles, SettleOutcome } from "#runtime/sources/job-source.ts";
import { sourceMigrations } from "#runtime/sources/sqlite/schema.ts";
import { SqliteSource } from "#runtime/sources/sqlite/sqlite-source.ts";
import { CallbackLog, callbackMigrations } from "./callbacks/callback-log.ts";
import { Delivery } from "./delivery.ts";
import { Outbox } from "./outbox.ts";
import { outboxMigrations } from "./outbox-migrations.ts";
import type { StoredFile } from "./stores/asset-store.ts";
import { LocalAssetStore } from "./stores/local-asset-store.ts";

/** A process that works on the data folder: its own outbox owner, its own delivery; "crashing" is not stopping it. */
interface Process {
  readonly delivery: Delivery;
  readonly outbox: Outbox;
  readonly source: SqliteSource;
  readonly keeper: LeaseKeeper;
  readonly events: JobEvents;
}

let folder: string;
let database: Database;
let store: LocalAssetStore;
let callbacks: CallbackLog;
let nowMs: number;
let processes: Process[];
let uploads: string[];
/** Thrown by the next calls, in order; empty = they work. */
let uploadFailures: Error[];
let callbackFailures: Error[];
/** So many of the next settlings are applied, and their answers lost. */
let lostAnswers: number;
let beforeCallback: (callback: JobCallback) => Promise<void>;

const log = pino({ level: "silent" });
const metricsRegistry = new MetricsRegistry({ jobTypes: [], log });
const metrics = createMetrics(metricsRegistry);

/** What the source was handed over with results, as a RunPod endpoint is. */
let handedOver: unknown[];
/** Why the source can hand over no result. */
let refusal: ErrorReport | null;

class UnreliableSource extends SqliteSource {
  async refusalOf(): Promise<ErrorReport | null> {
    return refusal;
  }

  override async complete(lease: LeaseKey, result: JobResult, files?: ResultFiles): Promise<SettleOutcome> {
    for (const asset of result.assets) {
      const path = z.object({ url: z.string() }).parse(asset).url;
      const bytes = await files?.read(path, 100);
      handedOver.push([await files?.address(path), String(bytes), await files?.read(path, 1)]);
    }
    const outcome = await super.complete(lease, result);
    if (lostAnswers-- > 0) throw new Error("socket hang up");
    return outcome;
  }
}

function newProcess(): Process {
  const source = new UnreliableSource(database, { workerId: randomUUID(), leaseSeconds: 30, nowMs: () => nowMs });
  const keeper = new LeaseKeeper(source, log, metrics);
  const outbox = new Outbox(database, { owner: randomUUID(), nowMs: () => nowMs });
  const events = new JobEvents();
  const delivery = new Delivery({
    webhook: { send: async () => undefined, sendBody: async () => undefined },
    stored: {
      address: async (bucket, path) => `https://files.example/${bucket}/${path}`,
      read: (bucket, path, maxBytes) => store.read(bucket, path, maxBytes),
    },
    outbox,
    store: {
      name: "unreliable",
      async put(file: StoredFile) {
        const failure = uploadFailures.shift();
        if (failure) throw failure;
        uploads.push(file.path);
        await store.put(file);
      },
      url: (bucket, path) => store.url(bucket, path),
      removeJob: (folder) => store.removeJob(folder),
    },
    callback: {
      name: "unreliable",
      async send(callback) {
        await beforeCallback(callback);
        const failure = callback.status === "processing" ? undefined : callbackFailures.shift();
        if (failure) throw failure;
        await callbacks.send(callback);
      },
    },
    sources: new Map([["sqlite", source]]),
    keepers: new Map([["sqlite", keeper]]),
    events,
    log,
    metrics,
    workerId: "test",
    concurrency: 4,
    nowMs: () => nowMs,
    // Pauses are fractions of a second, as they are in life.
    random: () => 0.123,
  });
  const created = { delivery, outbox, source, keeper, events };
  processes.push(created);
  return created;
}

async function leasedJob({ source }: Process, id = randomUUID() as string): Promise<Lease> {
  const job = jobEnvelope.parse({ id, type: "noop", user_id: "ann" });
  await source.enqueue(job, { worker: "test" });
  return takeOne(source);
}

async function takeOne(source: SqliteSource): Promise<Lease> {
  const {
    leases: [lease],
  } = await source.take([{ worker: "test", slots: 1 }]);
  if (lease === undefined) throw new Error("no job was due");
  return lease;
}

/** Two files on disk, as an executor leaves them. */
async function finishedWork(lease: Lease) {
  const workFolder = new WorkFolder(join(folder, "work", lease.jobId, String(lease.attempt)));
  for (const text of ["first", "second"]) {
    const thumbnail = { extension: "webp", mimeType: "image/webp", bytes: Buffer.from("small") };
    await workFolder.add(Buffer.from(text), { type: "image", extension: "png", mimeType: "image/png", thumbnail });
  }
  return {
    settlement: { kind: "complete", assets: workFolder.assets, metadata: {} } as const,
    facts: { ranMs: 0, workFolder: workFolder.path },
  };
}

async function finish(process: Process, lease: Lease): Promise<void> {
  const { settlement, facts } = await finishedWork(lease);
  await process.delivery.finish(process.source, lease, settlement, facts);
}

const finals = (jobId: string) => callbacks.of(jobId).filter((callback) => callback.status !== "processing");

/** Waits for real work to be done while the clock of rows and leases goes on, 100 ms a look. */
async function eventually(check: () => Promise<void> | void, timeout = 10_000): Promise<void> {
  const aheadMs = nowMs - Math.floor(performance.now());
  await vi.waitFor(
    async () => {
      nowMs = Math.max(nowMs + 100, aheadMs + Math.ceil(performance.now())); // Never behind the timers, which are real.
      await check();
    },
    { timeout, interval: 20 },
  );
}

async function expectDelivered(jobId: string): Promise<void> {
  const { source } = processes[0] ?? newProcess();
  await eventually(async () => expect(await source.get(jobId)).toMatchObject({ status: "completed" }));
  expect(finals(jobId).map(({ status }) => status)).toEqual(["completed"]);
  expect((await readdir(join(folder, "files", "noop", "ann", jobId))).sort()).toEqual([
    "0.png",
    "0.thumb.webp",
    "1.png",
    "1.thumb.webp",
  ]);
  expect(await readFile(join(folder, "files", "noop", "ann", jobId, "1.png"), "utf8")).toBe("second");
  await eventually(() => expect(processes[0]?.outbox.count()).toBe(0));
  await eventually(async () => expect(await readdir(join(folder, "work"))).toEqual([]));
}

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "ourvidz-delivery-"));
  database = await openDatabase(databaseFile(folder), [
    ...sourceMigrations,
    ...outboxMigrations,
    ...callbackMigrations,
  ]);
  nowMs = Date.parse("2026-01-01T00:00:00Z");
  store = new LocalAssetStore({ folder: join(folder, "files"), signingKey: Buffer.alloc(32, 1), nowMs: () => nowMs });
  callbacks = new CallbackLog(database, () => nowMs);
  processes = [];
  uploads = [];
  uploadFailures = [];
  callbackFailures = [];
  lostAnswers = 0;
  handedOver = [];
  refusal = null;
  beforeCallback = async () => undefined;
});

afterEach(async () => {
  for (const { delivery, keeper, source } of processes) {
    await delivery.stop(1000);
    keeper.close();
    await source.close();
  }
  database.close();
  await rm(folder, { recursive: true, force: true });
});

describe("delivery", () => {
  it("uploads, calls back, settles and cleans up", async () => {
    const process = newProcess();
    const lease = await leasedJob(process);
    await finish(process, lease);
    await expectDelivered(lease.jobId);
  });

  it("gives the source the addresses and the content of the files with the result", async () => {
    const process = newProcess();
    const lease = await leasedJob(process);
    await finish(process, lease);
    await expectDelivered(lease.jobId);
    const address = `https://files.example/noop/ann/${lease.jobId}`;
    expect(handedOver).toEqual([
      [`${address}/0.png`, "first", "too large"],
      [`${address}/1.png`, "second", "too large"],
    ]);
  });

  it("ends a job as failed whose result its source can never hand over, with one callback", async () => {
    refusal = { code: "RESULT_TOO_LARGE", message: "The result is larger than anybody takes." };
    const process = newProcess();
    const lease = await leasedJob(process);
    await finish(process, lease);
    await eventually(async () => {
      expect(await process.source.get(lease.jobId)).toMatchObject({ status: "failed", error: refusal });
      expect(process.outbox.count()).toBe(0);
    });
    const failed = { status: "failed", body: { assets: [], error_message: refusal.message } };
    expect(finals(lease.jobId)).toMatchObject([failed]);
    expect(handedOver).toEqual([]);
  });

  it("tries again after failed uploads and callbacks, without a second result", async () => {
    const process = newProcess();
    await process.delivery.start();
    uploadFailures = [new Error("connection reset"), new Error("503")];
    callbackFailures = [new Error("connection refused")];
    const lease = await leasedJob(process);
    await finish(process, lease);
    await expectDelivered(lease.jobId);
  });

  it("says once that a job has ended whose settling was applied but not answered", async () => {
    const process = newProcess();
    await process.delivery.start();
    lostAnswers = 2;
    const lease = await leasedJob(process);
    await finish(process, lease);
    await expectDelivered(lease.jobId);
    const states = () => process.events.replay(lease.jobId).filter(({ event }) => event.kind === "state");
    await eventually(() => expect(states()).toHaveLength(1));
    expect(states()).toMatchObject([{ event: { kind: "state", status: "completed" } }]);
    expect(uploads).toHaveLength(4);
  });

  it("settles although the callback is refused for good", async () => {
    const process = newProcess();
    callbackFailures = [new PermanentError("400: the app does not know this job")];
    const lease = await leasedJob(process);
    await finish(process, lease);
    await eventually(async () => expect(await process.source.get(lease.jobId)).toMatchObject({ status: "completed" }));
    expect(finals(lease.jobId)).toEqual([]);
  });

  it("settles although nobody took the callback for a day", async () => {
    const process = newProcess();
    beforeCallback = async (callback) => {
      if (callback.status === "processing") return;
      nowMs += 25 * 60 * 60 * 1000;
      throw new Error("503");
    };
    const lease = await leasedJob(process);
    await finish(process, lease);
    await eventually(async () => expect(await process.source.get(lease.jobId)).toMatchObject({ status: "completed" }));
    expect(await metricsRegistry.text()).toMatch(/^ourvidz_alarms_total\{alarm="callback_given_up"\} 1$/m);
  });

  it("never sends progress after the end", async () => {
    const process = newProcess();
    const order: string[] = [];
    const [begun, slow] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    beforeCallback = async (callback) => {
      begun.resolve();
      if (callback.status === "processing") await slow.promise;
      order.push(callback.status);
    };
    const lease = await leasedJob(process);
    process.delivery.sendProcessing(process.source, lease, 0.5);
    await begun.promise;
    const finished = finish(process, lease);
    process.delivery.sendProcessing(process.source, lease, 0.9);
    slow.resolve();
    await finished;
    await expectDelivered(lease.jobId);
    expect(order).toEqual(["processing", "completed"]);
  });
});

describe("a process that dies", () => {
  it.each(["upload", "callback"] as const)("leaves rows that the next one takes up before the %s", async (stage) => {
    const first = newProcess();
    const never = new Promise<void>(() => undefined);
    if (stage === "callback") beforeCallback = () => never;
    else uploadFailures = [new Error("the power went")];
    const lease = await leasedJob(first);
    await finish(first, lease);
    if (stage === "callback")
      await eventually(async () => expect(await first.outbox.all()).toMatchObject([{ uploaded: true }]));

    // Ten seconds later its claims are free; its leases (30 s) are not yet.
    nowMs += 11_000;
    beforeCallback = async () => undefined;
    const second = newProcess();
    await second.delivery.start();
    await expectDelivered(lease.jobId);
    // What was uploaded before the crash is not uploaded again.
    expect(uploads).toHaveLength(4);
  });

  it("does not lose its rows to a process that looks while it lives", async () => {
    const first = newProcess();
    const { promise: slow, resolve } = Promise.withResolvers<void>();
    beforeCallback = () => slow;
    const lease = await leasedJob(first);
    await finish(first, lease);
    const second = newProcess();
    expect(await Array.fromAsync(second.outbox.claims.claimDue(new Set()))).toEqual([]);
    resolve();
    await expectDelivered(lease.jobId);
  });

  it("delivers nothing of a job that somebody else has taken meanwhile", async () => {
    const first = newProcess();
    uploadFailures = [new Error("the power went")];
    const lease = await leasedJob(first);
    await finish(first, lease);
    await first.delivery.drain(1000);
    nowMs += 31_000;
    const other = newProcess();
    const retaken = await takeOne(other.source);
    expect(retaken).toMatchObject({ jobId: lease.jobId, attempt: 2 });
    const third = newProcess();
    await third.delivery.start();
    await eventually(() => expect(third.outbox.count()).toBe(0));
    expect(finals(lease.jobId)).toEqual([]);
    expect(uploads).toEqual([]);
    expect(await other.source.get(lease.jobId)).toMatchObject({ status: "running", attempt: 2 });
  });

  it("still delivers a job whose lease ran out but that nobody has taken", async () => {
    const first = newProcess();
    uploadFailures = [new Error("the power went")];
    const lease = await leasedJob(first);
    await finish(first, lease);
    await first.delivery.drain(1000);
    nowMs += 3_600_000;
    await newProcess().delivery.start();
    await expectDelivered(lease.jobId);
  });
});

it("delivers 100 finished jobs at once, a few at a time", async () => {
  const process = newProcess();
  let atOnce = 0;
  let highest = 0;
  beforeCallback = async () => {
    highest = Math.max(highest, ++atOnce);
    await new Promise((done) => setTimeout(done, 1));
    atOnce--;
  };
  const ids = Array.from({ length: 100 }, (_, index) => `job-${index}`);
  for (const id of ids) {
    const lease = await leasedJob(process, id);
    await process.delivery.finish(
      process.source,
      lease,
      { kind: "fail", error: { code: "HANDLER_FAILED", message: "as asked" } },
      { ranMs: 0, workFolder: join(folder, "work", id, "1") },
    );
  }
  await eventually(() => expect(process.outbox.count()).toBe(0), 25_000);
  expect(highest).toBeLessThanOrEqual(4);
  expect(ids.every((id) => finals(id).length === 1)).toBe(true);
});
