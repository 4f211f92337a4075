import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it, onTestFinished } from "vitest";
import { databaseFile, openDatabase } from "#runtime/lib/database/database.ts";
import { startTestRuntime } from "#test/support/runtime.ts";
import { Outbox } from "./outbox.ts";
import { claimMsFor } from "./outbox-claims.ts";
import type { OutboxEntry } from "./outbox-entry.ts";
import { outboxMigrations } from "./outbox-migrations.ts";

const entry: OutboxEntry = {
  source: "sqlite",
  lease: { jobId: "job", token: "token", attempt: 1, run: 1 },
  ended: false,
  bucket: "noop",
  userId: "ann",
  settlement: { kind: "complete" },
  files: [],
  callback: { job_id: "job", status: "completed", attempt: 1, metadata: {}, assets: [] },
  forWebhook: false,
  workFolder: "",
};

async function open(migrations = outboxMigrations) {
  const folder = mkdtempSync(join(tmpdir(), "ourvidz-claims-"));
  const database = await openDatabase(databaseFile(folder), migrations);
  onTestFinished(() => {
    database.close();
    rmSync(folder, { recursive: true });
  });
  return database;
}

async function claimedBy(outbox: Outbox) {
  return (await Array.fromAsync(outbox.claims.claimDue(new Set()))).flat();
}

it.each([1, 2, 5, 10, 30, 3600])(
  "with leases of %i s the result of a process that died is taken up before its lease runs out",
  async (leaseSeconds) => {
    const database = await open();
    let nowMs = 1_000_000;
    const of = (owner: string) =>
      new Outbox(database, { owner, nowMs: () => nowMs, claimMs: claimMsFor(leaseSeconds) });
    const [died, next] = [of("died"), of("next")];
    await died.record(entry, true);
    expect(await claimedBy(next)).toEqual([]);
    nowMs += Math.min(10_000, leaseSeconds * 1000 - 1);
    expect((await claimedBy(next)).map(({ entry: { lease } }) => lease.jobId)).toEqual(["job"]);
  },
);

it("a container's outbox claims by the leases that it was given", async () => {
  const runtime = await startTestRuntime({ LEASE_SECONDS: "1" });
  onTestFinished(async () => {
    await runtime.stop();
    await runtime.remove();
  });
  expect(runtime.outbox.claims.claimMs).toBe(500);
});

it("reads all rows in pages, each of them once, whoever works on them", async () => {
  const database = await open();
  const outbox = new Outbox(database, { owner: "own", nowMs: Date.now, claimMs: 1000 });
  expect(await outbox.all()).toEqual([]);
  const tokens = Array.from({ length: 120 }, (_, place) => `token-${place}`);
  await outbox.recordAll(tokens.map((token) => ({ ...entry, lease: { ...entry.lease, token } })));
  const sizes: number[] = [];
  for await (const page of outbox.pages()) sizes.push(page.length);
  expect(sizes).toEqual([50, 50, 20]);
  expect((await outbox.all()).map((row) => row.entry.lease.token)).toEqual(tokens);
  expect((await Array.fromAsync(outbox.pages(60))).map((page) => page.length)).toEqual([60, 60]);
});

it("a row that another process works on stays with it, when it is recorded once more, as long as that one lives", async () => {
  const database = await open();
  let nowMs = 1_000_000;
  const of = (owner: string) => new Outbox(database, { owner, nowMs: () => nowMs, claimMs: 1000 });
  const [first, second] = [of("first"), of("second")];
  const row = await first.record(entry, true);
  if (row === null) throw new Error("nobody else had it");
  expect(await first.record(entry, true)).toMatchObject({ id: row.id });
  expect([await second.record(entry, true), await second.recordAll([entry])]).toEqual([null, [null]]);
  expect([first.claims.isClaimed(row.id), second.claims.isClaimed(row.id)]).toEqual([true, false]);
  nowMs += 1000;
  expect(await second.record(entry, true)).toMatchObject({ id: row.id });
  expect([first.claims.isClaimed(row.id), second.claims.isClaimed(row.id)]).toEqual([false, true]);
  await first.remove(row.id);
  expect(second.claims.isClaimed(row.id)).toBe(false);
});

it("no row has the number of one that was removed, nor of one that was there before the upgrade", async () => {
  const database = await open(outboxMigrations.slice(0, 3));
  const insert = database.command(
    `INSERT INTO outbox (id, token, entry, tries, next_try_at_ms, created_at_ms, error, reported)
     VALUES (7, 'token', :entry, 2, 5, 4, '{"code":"INTERNAL","message":"away"}', 1)`,
  );
  insert.run({ entry: JSON.stringify(entry) });
  const upgraded = await openDatabase(database.path, outboxMigrations);
  onTestFinished(() => upgraded.close());
  const outbox = new Outbox(upgraded, { owner: "own", nowMs: Date.now });
  const kept = { id: 7, entry, tries: 2, reported: true, createdAtMs: 4, error: { code: "INTERNAL", message: "away" } };
  expect(outbox.oldest(10)).toMatchObject([kept]);
  await outbox.remove(7);
  const next = await outbox.record(entry, true);
  expect(next?.id).toBe(8);
  expect(await outbox.removeFor(8, [entry])).toMatchObject([{ id: 9 }]);
});

it("gives up what is to be reported of a job, and nothing while its files are to be stored", async () => {
  const outbox = new Outbox(await open(), { owner: "own", nowMs: Date.now, claimMs: 1000 });
  const file = {
    index: 0,
    file: "0.png",
    mimeType: "image/png",
    extension: "png",
    type: "image",
    sizeBytes: 3,
  } as const;
  const withFile: OutboxEntry = { ...entry, files: [{ ...file, metadata: {} }] };
  const row = await outbox.record(withFile, true);
  await outbox.record({ ...entry, lease: { ...entry.lease, jobId: "other", token: "other" } }, true);
  expect(await outbox.giveUp("job")).toEqual({ givenUp: 0, storing: 1, unreadable: 0 });
  await outbox.markUploaded(row?.id ?? 0);
  await outbox.record({ ...withFile, ended: true, forWebhook: true }, true);
  expect(await outbox.giveUp("job")).toEqual({ givenUp: 2, storing: 0, unreadable: 0 });
  const reported = (await outbox.all()).map(({ entry: { lease, forWebhook }, reported: isReported }) => [
    lease.jobId,
    forWebhook,
    isReported,
  ]);
  expect(reported).toEqual([
    ["job", false, true],
    ["other", false, false],
    ["job", true, true],
  ]);
  expect(await outbox.giveUp("none")).toEqual({ givenUp: 0, storing: 0, unreadable: 0 });
});

it("leaves the webhook of an emulated endpoint to an emulator for a day", async () => {
  const database = await open();
  let nowMs = 1_000_000;
  const of = (owner: string, sendsEmulated = false) =>
    new Outbox(database, { owner, nowMs: () => nowMs, claimMs: 1000, sendsEmulated });
  const container = of("container");
  const metadata = { job_type: "runpod_job" };
  const row = await container.record({ ...entry, callback: { ...entry.callback, metadata } }, true);
  const webhook: OutboxEntry = { ...entry, ended: true, forWebhook: true, callback: { ...entry.callback, metadata } };
  const others: OutboxEntry = { ...webhook, lease: { ...entry.lease, jobId: "other" }, callback: entry.callback };
  expect(await container.removeFor(row?.id ?? 0, [webhook, others])).toMatchObject([{ entry: others }]);
  // Nobody's, however long the container keeps what it works on.
  await container.claims.renew();
  const emulator = of("emulator", true);
  const [left] = await claimedBy(emulator);
  expect(left?.entry).toEqual(webhook);
  // Nor does it lose the row again to the container, which hears of the same end once more.
  await emulator.claims.renew();
  expect(await container.record(webhook, true)).toBe(null);
  expect(emulator.claims.isClaimed(left?.id ?? 0)).toBe(true);
  nowMs += 1000;
  expect((await claimedBy(container)).map(({ entry: { lease } }) => lease.jobId)).toEqual(["other"]);
  nowMs += 24 * 60 * 60 * 1000;
  expect((await claimedBy(container)).map(({ entry: { lease } }) => lease.jobId)).toEqual(["job", "other"]);
});
