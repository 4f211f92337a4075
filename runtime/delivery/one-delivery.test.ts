import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pino } from "pino";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { JobCallback } from "#contract/callback.ts";
import { jobEnvelope } from "#contract/job.ts";
import { JobEvents } from "#runtime/dispatch/job-events.ts";
import { LeaseKeeper } from "#runtime/dispatch/lease-keeper.ts";
import { type Database, databaseFile, openDatabase } from "#runtime/lib/database/database.ts";
import { createMetrics } from "#runtime/observe/metrics/metrics.ts";
import { MetricsRegistry } from "#runtime/observe/metrics/registry.ts";
import type { LeaseKey, SettleOutcome } from "#runtime/sources/job-source.ts";
import { sourceMigrations } from "#runtime/sources/sqlite/schema.ts";
import { SqliteSource } from "#runtime/sources/sqlite/sqlite-source.ts";
import { processingCallback } from "./callbacks/build-callback.ts";
import { Delivery } from "./delivery.ts";
import type { EndedJob } from "./new-entries.ts";
import { Outbox } from "./outbox.ts";
import { outboxMigrations } from "./outbox-migrations.ts";
import { ProgressChannels } from "./progress-channels.ts";

/* Of several that could deliver a row, one does, and what the app has taken is not sent again. */
const log = pino({ level: "silent" });
const metrics = createMetrics(new MetricsRegistry({ jobTypes: [], log }));

let folder: string;
let database: Database;
let nowMs: number;
/** What was sent, with whoever is to answer it. */
let sent: { readonly what: string; readonly signal: AbortSignal; answer(): void }[];
let closing: (() => Promise<void>)[];

class AwaySource extends SqliteSource {
  isAway = false;
  readonly confirmed: string[] = [];

  override async reported(...[ends]: Parameters<SqliteSource["reported"]>): Promise<void> {
    if (this.isAway) throw new Error("connection refused");
    this.confirmed.push(...ends.map(({ jobId, run }) => `${jobId}/${run}`));
    await super.reported(ends);
  }

  override async cancelled(lease: LeaseKey): Promise<SettleOutcome> {
    if (this.isAway) throw new Error("connection refused");
    return await super.cancelled(lease);
  }
}

function answeredLater(what: string, signal: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  sent.push({ what, signal, answer: resolve });
  return promise;
}

function newProcess(owner: string, onRelease = () => undefined) {
  const outbox = new Outbox(database, { owner, nowMs: () => nowMs });
  const source = new AwaySource(database, { workerId: owner, nowMs: () => nowMs });
  const keeper = new LeaseKeeper(source, log, metrics);
  vi.spyOn(keeper, "hold").mockReturnValue(onRelease);
  const delivery = new Delivery({
    ...{ outbox, log, metrics, workerId: owner, concurrency: 4, nowMs: () => nowMs, random: () => 0.5 },
    ...{ sources: new Map([["sqlite", source]]), keepers: new Map([["sqlite", keeper]]), events: new JobEvents() },
    webhook: {
      send: (url, _callback, _bucket, signal) => answeredLater(url, signal),
      sendBody: (url, _body, signal) => answeredLater(url, signal),
    },
    stored: { address: async () => null, read: async () => null },
    store: { name: "none", put: async () => undefined, url: async () => null, removeJob: async () => 0 },
    callback: {
      name: "app",
      send: ({ job_id, status }: JobCallback, signal) => answeredLater(`${job_id} ${status}`, signal),
    },
  });
  closing.push(async () => {
    for (const { answer } of sent) answer();
    await delivery.stop(1000);
    await source.close();
  });
  return { outbox, source, delivery };
}

function endOf(jobId: string, fields: Readonly<Record<string, unknown>> = {}): EndedJob {
  const job = jobEnvelope.parse({ id: jobId, type: "noop", ...fields });
  return { jobId, job, run: 1, attempt: 1, token: "", ranMs: null, settlement: { kind: "cancelled" } };
}

async function cancelledJob({ source, delivery }: ReturnType<typeof newProcess>) {
  await source.enqueue(jobEnvelope.parse({ id: "a", type: "noop" }), { worker: "test" });
  const [lease] = (await source.take([{ worker: "test", slots: 1 }])).leases;
  if (lease === undefined) throw new Error("no job was due");
  await delivery.finish(source, lease, { kind: "cancelled" }, { ranMs: 1, workFolder: join(folder, "work") });
}

const sentNow = () => sent.map(({ what }) => what);
const answerLast = () => sent.at(-1)?.answer();
const untilSent = (...what: string[]) => expect.poll(sentNow).toEqual(what);

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "ourvidz-one-delivery-"));
  database = await openDatabase(databaseFile(folder), [...sourceMigrations, ...outboxMigrations]);
  nowMs = Date.parse("2026-01-01T00:00:00Z");
  sent = [];
  closing = [];
});

afterEach(async () => {
  for (const close of closing) await close();
  database.close();
  await rm(folder, { recursive: true });
});

it("a job that is recorded in the moment in which the one before it is removed is reported once", async () => {
  const { outbox, source, delivery } = newProcess("own");
  await delivery.reportEnds(source, [endOf("a")]);
  await untilSent("a cancelled");
  const { promise: second, resolve } = Promise.withResolvers<readonly EndedJob[]>();
  const remove = outbox.remove.bind(outbox);
  vi.spyOn(outbox, "remove").mockImplementationOnce(async (id) => {
    const removed = remove(id);
    resolve(delivery.reportEnds(source, [endOf("b")]));
    await removed;
  });
  answerLast();
  await second;
  await untilSent("a cancelled", "b cancelled");
  await expect.poll(() => outbox.count()).toBe(1);
  await delivery.tryNow();
  expect(sentNow()).toEqual(["a cancelled", "b cancelled"]);
});

it("a webhook that answers late is notified once", async () => {
  const { outbox, source, delivery } = newProcess("own");
  await delivery.reportEnds(source, [endOf("a", { webhook_url: "https://shop.example/" })]);
  await untilSent("a cancelled");
  answerLast();
  await untilSent("a cancelled", "https://shop.example/");
  await delivery.tryNow();
  await delivery.tryNow();
  expect(sentNow()).toEqual(["a cancelled", "https://shop.example/"]);
  answerLast();
  await expect.poll(() => outbox.count()).toBe(0);
});

it("an end that is recorded again while it is being reported is reported once", async () => {
  const [first, second] = [newProcess("first"), newProcess("second")];
  await first.delivery.reportEnds(first.source, [endOf("a")]);
  await untilSent("a cancelled");
  await first.delivery.reportEnds(first.source, [endOf("a")]);
  await second.delivery.reportEnds(second.source, [endOf("a")]);
  await second.delivery.tryNow();
  expect(sentNow()).toEqual(["a cancelled"]);
  answerLast();
  await expect.poll(() => first.outbox.count()).toBe(0);
  expect(sentNow()).toEqual(["a cancelled"]);
});

it("a process that was suspended leaves what another one has delivered meanwhile", async () => {
  const [first, second] = [newProcess("first"), newProcess("second")];
  const ids = ["a", "b", "c", "d", "e"];
  await first.delivery.reportEnds(
    first.source,
    ids.map((id) => endOf(id)),
  );
  // The fifth waits for one of the four.
  await untilSent("a cancelled", "b cancelled", "c cancelled", "d cancelled");
  nowMs += 11_000;
  await second.delivery.tryNow();
  await expect.poll(() => sent.length).toBe(8);
  for (const { answer } of sent.slice(4)) answer();
  await expect.poll(() => sent.length).toBe(9);
  answerLast();
  await expect.poll(() => second.outbox.count()).toBe(0);
  for (const { answer } of sent) answer();
  await first.delivery.drain(5000);
  expect(sentNow().filter((what) => what === "e cancelled")).toHaveLength(1);
});

describe("a callback that the app has taken is not sent again", () => {
  it("while the source of its job is away, nor by the process that follows", async () => {
    const first = newProcess("first");
    first.source.isAway = true;
    await cancelledJob(first);
    await untilSent("a cancelled");
    answerLast();
    const row = () => first.outbox.oldest(1)[0];
    for (let tries = 1; tries < 4; tries++) {
      await expect.poll(() => row()?.tries).toBe(tries);
      await first.delivery.tryNow();
    }
    await expect.poll(row).toMatchObject({ tries: 4, reported: true });
    await first.delivery.stop(1000);
    const second = newProcess("second");
    await second.delivery.tryNow();
    await expect.poll(() => second.outbox.count()).toBe(0);
    expect(await second.source.get("a")).toMatchObject({ status: "cancelled" });
    expect(sentNow()).toEqual(["a cancelled"]);
  });

  it("by the process that follows one which stopped in that moment", async () => {
    const first = newProcess("first");
    first.source.isAway = true;
    await cancelledJob(first);
    await untilSent("a cancelled");
    const stopped = first.delivery.stop(0);
    await expect.poll(() => sent.at(-1)?.signal.aborted).toBe(true);
    answerLast();
    await stopped;
    const second = newProcess("second");
    await second.delivery.tryNow();
    await expect.poll(() => second.outbox.count()).toBe(0);
    expect(sentNow()).toEqual(["a cancelled"]);
  });

  it("by another container, since this one keeps an end until its source knows that it has it", async () => {
    const first = newProcess("first");
    first.source.isAway = true;
    await first.delivery.reportEnds(first.source, [endOf("a")]);
    await untilSent("a cancelled");
    answerLast();
    await expect.poll(() => first.outbox.oldest(1)[0]).toMatchObject({ tries: 1, reported: true });
    await first.delivery.stop(1000);
    const second = newProcess("second");
    await second.delivery.tryNow();
    await expect.poll(() => second.outbox.count()).toBe(0);
    expect([second.source.confirmed, sentNow()]).toEqual([["a/1"], ["a cancelled"]]);
    await second.delivery.reportEnds(second.source, [endOf("b")], Promise.resolve(true));
    await untilSent("a cancelled", "b cancelled");
    answerLast();
    await expect.poll(() => second.outbox.count()).toBe(0);
    // Confirmed when it was recorded: a source may be paid by the call.
    expect(second.source.confirmed).toEqual(["a/1"]);
  });

  it("while the disk has no room for anything", async () => {
    const { outbox, source, delivery } = newProcess("own");
    const full = () => Promise.reject(new Error("the disk is full"));
    const removed = vi.spyOn(outbox, "remove").mockImplementation(full);
    const postponed = vi.spyOn(outbox, "postpone").mockImplementation(full);
    await delivery.reportEnds(source, [endOf("a")]);
    await untilSent("a cancelled");
    answerLast();
    for (let tries = 1; tries < 4; tries++) {
      await expect.poll(() => postponed.mock.calls.length).toBe(tries);
      await expect.poll(() => removed.mock.calls.length).toBe(tries);
      await delivery.tryNow();
    }
    removed.mockRestore();
    postponed.mockRestore();
    await expect.poll(() => delivery.tryNow().then(() => outbox.count())).toBe(0);
    expect(sentNow()).toEqual(["a cancelled"]);
  });
});

describe("no progress of a job arrives after its end", () => {
  const lease = (token: string, run = 1) => ({
    ...{ jobId: "a", job: jobEnvelope.parse({ id: "a", type: "noop" }), token, attempt: 1, run },
    ...{ queuedAtMs: 0, takenAtMs: 0, expiresAtMs: 0 },
  });

  it("that an attempt has left on its way whose job went back to its queue", async () => {
    const { source, delivery } = newProcess("own");
    delivery.sendProcessing(source, lease("first"), 0.5);
    await untilSent("a processing");
    delivery.forget(lease("first"));
    await delivery.reportEnds(source, [endOf("a"), endOf("b")]);
    await untilSent("a processing", "b cancelled");
    sent[0]?.answer();
    await untilSent("a processing", "b cancelled", "a cancelled");
  });

  it("that an attempt begins to make only when the app is back", async () => {
    const sendsLater = {
      name: "app",
      send: ({ status, run }: JobCallback, signal: AbortSignal) => answeredLater(`${status} ${run}`, signal),
    };
    const channels = new ProgressChannels(sendsLater, log);
    channels.open(lease("lost"));
    channels.open(lease("redriven", 2));
    await channels.closeRun({ jobId: "a", run: 1 });
    for (const each of [lease("lost"), lease("redriven", 2)])
      channels.send(each, processingCallback({ lease: each, workerId: "own", nowMs, ranMs: null }, 0.5));
    await untilSent("processing 2");
  });

  it("that an attempt makes here which has not heard yet that its lease is lost; that of a later run goes on", async () => {
    const { outbox, source, delivery } = newProcess("own");
    delivery.sendProcessing(source, lease("lost"), 0.5);
    delivery.sendProcessing(source, lease("redriven", 2), 0.5);
    await untilSent("a processing", "a processing");
    delivery.sendProcessing(source, lease("lost"), 0.6);
    await delivery.reportEnds(source, [endOf("a")]);
    for (const { answer } of sent) answer();
    await untilSent("a processing", "a processing", "a cancelled");
    answerLast();
    await expect.poll(() => outbox.count()).toBe(0);
    delivery.sendProcessing(source, lease("lost"), 0.7);
    delivery.sendProcessing(source, lease("redriven", 2), 0.8);
    await untilSent("a processing", "a processing", "a cancelled", "a processing");
    delivery.sendProcessing(source, lease("lost"), 0.9);
    expect(sent).toHaveLength(4);
  });
});

it("holds no lease of a row that another process has taken over before its turn came", async () => {
  const released = vi.fn();
  const { source, outbox, delivery } = newProcess("own", released);
  await delivery.reportEnds(
    source,
    ["w", "x", "y", "z"].map((id) => endOf(id)),
  );
  await untilSent("w cancelled", "x cancelled", "y cancelled", "z cancelled");
  await cancelledJob({ source, outbox, delivery });
  nowMs += 10_000;
  const taken = await Array.fromAsync(newProcess("other").outbox.claims.claimDue(new Set()));
  expect(taken.flat()).toHaveLength(5);
  expect(released).not.toHaveBeenCalled();
  for (const { answer } of sent) answer();
  await expect.poll(() => released.mock.calls).toHaveLength(1);
  expect(sent).toHaveLength(4);
});
