import { access, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pino } from "pino";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { JobCallback } from "#contract/callback.ts";
import { PermanentError, RetryableError } from "#contract/errors.ts";
import { jobEnvelope } from "#contract/job.ts";
import { JobEvents } from "#runtime/dispatch/job-events.ts";
import { WorkFolder } from "#runtime/executor/child/work-folder.ts";
import { type Database, databaseFile, openDatabase } from "#runtime/lib/database/database.ts";
import { createMetrics } from "#runtime/observe/metrics/metrics.ts";
import { measuredCallback, measuredStore } from "#runtime/observe/metrics/ports.ts";
import { MetricsRegistry } from "#runtime/observe/metrics/registry.ts";
import type { Lease } from "#runtime/sources/job-source.ts";
import { sourceMigrations } from "#runtime/sources/sqlite/schema.ts";
import { SqliteSource } from "#runtime/sources/sqlite/sqlite-source.ts";
import { Delivery } from "./delivery.ts";
import { Outbox } from "./outbox.ts";
import { outboxMigrations } from "./outbox-migrations.ts";
import type { StoredFile } from "./stores/asset-store.ts";

/*
 * The app's side is away for a long time; the clock is simulated, everything else is real. What stands for the app answers
 * as HttpCallback and SupabaseAssetStore do.
 */
const minuteMs = 60_000;
const log = pino({ level: "silent" });

let folder: string;
let database: Database;
let source: SqliteSource;
let outbox: Outbox;
let delivery: Delivery;
let registry: MetricsRegistry;
let callBack: (callback: JobCallback) => Promise<void>;
let store: (file: StoredFile) => Promise<void>;

function newDelivery(): Delivery {
  registry = new MetricsRegistry({ jobTypes: [], log });
  const metrics = createMetrics(registry);
  outbox = new Outbox(database, { owner: `process-${Math.random()}`, nowMs: Date.now });
  return new Delivery({
    webhook: { send: async () => undefined, sendBody: async () => undefined },
    stored: { address: async () => null, read: async () => null },
    outbox,
    store: measuredStore(
      { name: "app", put: (file) => store(file), url: async () => null, removeJob: async () => 0 },
      metrics,
    ),
    callback: measuredCallback({ name: "app", send: (callback) => callBack(callback) }, metrics),
    sources: new Map([["sqlite", source]]),
    keepers: new Map(),
    events: new JobEvents(),
    log,
    metrics,
    workerId: "test",
    concurrency: 4,
    nowMs: Date.now,
    random: Math.random,
  });
}

beforeEach(async () => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "setInterval", "clearInterval", "Date", "performance"] });
  folder = await mkdtemp(join(tmpdir(), "ourvidz-outage-"));
  database = await openDatabase(databaseFile(folder), [...sourceMigrations, ...outboxMigrations]);
  // Longer than any outage here: who keeps leases is tested elsewhere.
  source = new SqliteSource(database, { workerId: "test", leaseSeconds: 100 * 3600, nowMs: Date.now });
  callBack = async () => undefined;
  store = async () => undefined;
  delivery = newDelivery();
  await settled(delivery.start());
});

afterEach(async () => {
  await settled(delivery.stop(1000));
  vi.useRealTimers();
  await source.close();
  database.close();
  await rm(folder, { recursive: true, force: true });
});

/** The database groups small changes by a timer of a few milliseconds. */
async function settled<Result>(promise: Promise<Result>): Promise<Result> {
  let isOver = false;
  const over = promise.finally(() => {
    isOver = true;
  });
  while (!isOver) {
    await vi.advanceTimersByTimeAsync(1);
    await new Promise((resolve) => setImmediate(resolve));
  }
  return over;
}

async function leased(id: string): Promise<Lease> {
  await settled(source.enqueue(jobEnvelope.parse({ id, type: "noop", user_id: "ann" }), { worker: "test" }));
  const {
    leases: [lease],
  } = await settled(source.take([{ worker: "test", slots: 1 }]));
  if (lease === undefined) throw new Error("no job was due");
  return lease;
}

/** Ends a job; with a file when it is to be uploaded. */
async function finish(id: string, { withFile = false } = {}): Promise<WorkFolder> {
  const lease = await leased(id);
  const work = new WorkFolder(join(folder, "work", id, "1"));
  if (withFile) await work.add(Buffer.from(id), { type: "image", extension: "png", mimeType: "image/png" });
  const settlement = { kind: "complete", assets: work.assets, metadata: {} } as const;
  await settled(delivery.finish(source, lease, settlement, { ranMs: 0, workFolder: work.path }));
  return work;
}

/** Lets the clock run, and whatever it sets going: at last step by step, as what was done with files goes on to the database. */
async function pass(milliseconds: number): Promise<void> {
  const end = Date.now() + milliseconds;
  while (Date.now() < end) {
    const left = end - Date.now();
    await vi.advanceTimersByTimeAsync(left > 200 ? Math.min(3000, left - 100) : Math.min(10, left));
    await filesAreDone();
  }
}

/** Files are real, and take the time that they take. */
async function filesAreDone(): Promise<void> {
  do await new Promise((resolve) => setImmediate(resolve));
  while (process.getActiveResourcesInfo().some((kind) => kind.startsWith("FSReq")));
}

async function alarmCount(alarm: string): Promise<number> {
  const line = (await registry.text()).split("\n").find((one) => one.includes(`alarm="${alarm}"`));
  return Number(line?.split(" ").at(-1));
}

const refusedConnection = () => new RetryableError("connect ECONNREFUSED", { code: "CALLBACK_UNREACHABLE" });
const answered = (status: number) =>
  new RetryableError(`answered ${status}`, { code: "CALLBACK_UNREACHABLE", details: { status } });

describe("an outage of an hour", () => {
  it.each([
    ["nobody listens", refusedConnection],
    ["a gateway answers 503", () => answered(503)],
  ])("ends with 500 jobs delivered in order, a few at a time: %s", { timeout: 60_000 }, async (_what, failure) => {
    const ids = Array.from({ length: 500 }, (_, index) => `job-${String(index).padStart(3, "0")}`);
    const backAtMs = Date.now() + 60 * minuteMs;
    const taken: string[] = [];
    let triesInOutage = 0;
    let atOnce = 0;
    let maxAtOnce = 0;
    callBack = async ({ job_id }) => {
      if (Date.now() < backAtMs) {
        triesInOutage++;
        throw failure();
      }
      taken.push(job_id);
      maxAtOnce = Math.max(maxAtOnce, ++atOnce);
      await new Promise((resolve) => setTimeout(resolve, 200));
      atOnce--;
    };

    // They end over the first fifty minutes.
    for (const id of ids) {
      await finish(id);
      await pass(6000);
    }
    expect(outbox.count()).toBe(500);
    await pass(backAtMs - Date.now());
    expect(taken).toEqual([]);
    // One probes, about once a minute, and not five hundred.
    expect(triesInOutage).toBeLessThan(200);

    await pass(2 * minuteMs);
    expect(outbox.count()).toBe(0);
    expect(taken).toHaveLength(500);
    // The one that found the app back may be any that is due; all that waited follow in their order.
    const [first, ...others] = taken;
    expect(new Set(taken).size).toBe(500);
    expect(others).toEqual(ids.filter((id) => id !== first));
    if (failure === refusedConnection) expect(first).toBe(ids[0]);
    expect(maxAtOnce).toBe(4);
    const records = await Promise.all(ids.map((id) => source.get(id)));
    expect(records.every((record) => record?.status === "completed")).toBe(true);
  });

  it("of the storage does not keep back jobs without files", async () => {
    let isAway = true;
    store = async () => {
      if (isAway) throw new RetryableError("connect ETIMEDOUT", { code: "STORAGE_UNREACHABLE" });
    };
    for (const id of ["film-1", "film-2", "film-3", "film-4"]) await finish(id, { withFile: true });
    await pass(minuteMs);
    await finish("text");
    await pass(1000);
    expect(await source.get("text")).toMatchObject({ status: "completed" });
    expect(outbox.count()).toBe(4);
    isAway = false;
    await pass(2 * minuteMs);
    expect(outbox.count()).toBe(0);
  });

  it("that one job has for itself does not keep back the others", async () => {
    callBack = async ({ job_id }) => {
      if (job_id === "poison") throw answered(500);
    };
    await finish("poison");
    for (let index = 0; index < 20; index++) {
      await finish(`job-${index}`);
      await pass(10_000);
    }
    expect(outbox.count()).toBe(1);
    expect(await source.get("job-19")).toMatchObject({ status: "completed" });
  });
});

describe("a slow refusal", () => {
  it("of one job alone does not keep back the others for good", async () => {
    const refusal = { code: "CALLBACK_REFUSED", delaySeconds: 300, details: { status: 403 } } as const;
    callBack = async ({ job_id }) => {
      if (job_id === "poison") throw new RetryableError("403", refusal);
    };
    await finish("poison");
    await pass(1000);
    for (const id of ["one", "two", "three"]) await finish(id);
    await pass(15 * minuteMs);
    for (const id of ["one", "two", "three"]) expect(await source.get(id)).toMatchObject({ status: "completed" });
  });
});

describe("a deployment that is wrong", () => {
  it("is probed about every five minutes, raises alarms, and loses nothing", async () => {
    let tries = 0;
    let isMended = false;
    callBack = async () => {
      if (isMended) return;
      tries++;
      throw new RetryableError("401", { code: "CALLBACK_REFUSED", delaySeconds: 300, details: { status: 401 } });
    };
    for (const id of ["one", "two", "three"]) await finish(id);
    await pass(60 * minuteMs);
    // The first three went at the same moment.
    expect(tries).toBeLessThanOrEqual(3 + 12);
    expect(tries).toBeGreaterThanOrEqual(10);
    expect(await alarmCount("callback_refused")).toBe(tries);
    isMended = true;
    await pass(6 * minuteMs);
    expect(outbox.count()).toBe(0);
  });

  it("is probed at once when the container starts again", async () => {
    let isMended = false;
    callBack = async () => {
      if (!isMended) throw new RetryableError("401", { code: "CALLBACK_REFUSED", delaySeconds: 300 });
    };
    await finish("one");
    await pass(1000);
    await settled(delivery.stop(1));
    isMended = true;
    delivery = newDelivery();
    await settled(delivery.start());
    await pass(1000);
    expect(await source.get("one")).toMatchObject({ status: "completed" });
  });
});

describe("a refusal of the container", () => {
  it("is waited out for longer than a day: the app is notified when it is mended", async () => {
    let isMended = false;
    const reported: string[] = [];
    callBack = async ({ job_id }) => {
      if (!isMended) throw new RetryableError("401", { code: "CALLBACK_REFUSED", delaySeconds: 300 });
      reported.push(job_id);
    };
    for (const id of ["one", "two", "three"]) await finish(id);
    await pass(minuteMs);
    vi.setSystemTime(Date.now() + 30 * 60 * minuteMs);
    await pass(11 * minuteMs);
    expect(outbox.count()).toBe(3);
    isMended = true;
    await pass(6 * minuteMs);
    expect(reported).toEqual(["one", "two", "three"]);
    expect(await alarmCount("callback_given_up")).toBe(0);
  });
});

describe("what nobody ever takes", () => {
  it("a callback: is given up after 24 hours, and the job settled", async () => {
    callBack = async () => {
      throw refusedConnection();
    };
    const ids = ["one", "two", "three", "four", "five", "six"];
    for (const id of ids) await finish(id);
    await pass(minuteMs);
    vi.setSystemTime(Date.now() + 23 * 60 * minuteMs);
    await pass(2 * minuteMs);
    expect(outbox.count()).toBe(6);
    vi.setSystemTime(Date.now() + 60 * minuteMs);
    await pass(2 * minuteMs);
    for (const id of ids) expect(await source.get(id)).toMatchObject({ status: "completed" });
    expect(await alarmCount("callback_given_up")).toBe(6);
  });

  it("a file: its job fails, the app is notified why, and the file is kept for a while", async () => {
    const callbacks: JobCallback[] = [];
    callBack = async (callback) => {
      callbacks.push(callback);
    };
    store = async () => {
      throw new PermanentError("too large for the bucket", { code: "ASSET_REFUSED" });
    };
    const work = await finish("film", { withFile: true });
    await pass(1000);
    expect(await source.get("film")).toMatchObject({ status: "failed", error: { code: "ASSET_REFUSED" } });
    expect(callbacks).toMatchObject([
      {
        job_id: "film",
        status: "failed",
        assets: [],
        error_message: "too large for the bucket",
        metadata: { error_type: "ASSET_REFUSED" },
      },
    ]);
    expect(await alarmCount("asset_refused")).toBe(1);
    await expect(access(work.assets[0]?.file ?? "")).resolves.toBeUndefined();
  });

  it("a file that is refused stays refused when the process dies before the app is notified", async () => {
    store = async () => {
      throw new PermanentError("too large for the bucket", { code: "ASSET_REFUSED" });
    };
    callBack = async () => {
      throw refusedConnection();
    };
    await finish("film", { withFile: true });
    await pass(1000);
    expect(await outbox.all()).toMatchObject([
      { entry: { settlement: { kind: "fail" }, callback: { status: "failed" } } },
    ]);
  });

  it("a file that is gone from the disk: its job fails", async () => {
    store = async ({ file }) => {
      await access(file);
    };
    const lease = await leased("film");
    const work = new WorkFolder(join(folder, "work", "film", "1"));
    await work.add(Buffer.from("bytes"), { type: "image", extension: "png", mimeType: "image/png" });
    const settlement = { kind: "complete", assets: work.assets, metadata: {} } as const;
    await rm(work.path, { recursive: true });
    await settled(delivery.finish(source, lease, settlement, { ranMs: 0, workFolder: work.path }));
    await vi.waitFor(async () => {
      await pass(1000);
      expect(await source.get("film")).toMatchObject({ status: "failed", error: { code: "NO_ASSETS" } });
    });
  });
});
