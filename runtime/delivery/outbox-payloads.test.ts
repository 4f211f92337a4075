import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it, onTestFinished } from "vitest";
import { z } from "zod";
import { emulatedType } from "#runtime/endpoints/endpoint-job.ts";
import { type Database, databaseFile, openDatabase } from "#runtime/lib/database/database.ts";
import { Outbox } from "./outbox.ts";
import { type NewEntry, outboxEntry } from "./outbox-entry.ts";
import { outboxMigrations } from "./outbox-migrations.ts";
import { webhookEntriesOf } from "./webhooks/webhook-row.ts";

const entry = outboxEntry.parse({
  source: "sqlite",
  lease: { jobId: "job", token: "token", attempt: 1 },
  bucket: "noop",
  userId: "ann",
  settlement: { kind: "complete" },
  files: [],
  callback: { job_id: "job", status: "completed", attempt: 1, metadata: { job_type: emulatedType }, assets: [] },
  workFolder: "",
});
const endpoint = { url: "http://app.lan/ended", requestId: "job-u1" };
const payload = { input: { prompt: "a quiet lake" }, posted: { output: ["a", { heron: 1.5 }] } };
const withPayload: NewEntry = { ...entry, webhookUrl: "https://app.example/ended", endpoint, payload };

async function open(migrations = outboxMigrations) {
  const folder = mkdtempSync(join(tmpdir(), "ourvidz-payloads-"));
  const database = await openDatabase(databaseFile(folder), migrations);
  onTestFinished(() => {
    database.close();
    rmSync(folder, { recursive: true });
  });
  return database;
}

const outboxOf = (database: Database, owner = "own") =>
  new Outbox(database, { owner, nowMs: Date.now, claimMs: 10_000, sendsEmulated: true });

const payloadsIn = (database: Database) =>
  database.query("SELECT payload FROM outbox_payloads", z.object({ payload: z.string() })).all().length;

async function recorded(outbox: Outbox, value: NewEntry) {
  const row = await outbox.record(value, true);
  if (row === null) throw new Error("nobody else had it");
  return row;
}

it("keeps what a webhook is sent apart from the row, hands it on to the webhook's row, and removes it with that", async () => {
  const database = await open();
  const outbox = outboxOf(database);
  const job = await recorded(outbox, withPayload);
  expect(job.entry).toEqual({ ...entry, webhookUrl: "https://app.example/ended", endpoint });
  expect((await outbox.all()).map((row) => row.entry)).toEqual([job.entry]);
  const { posted, ...other } = payload;
  // What was recorded first counts.
  await outbox.record({ ...withPayload, payload: other }, true);
  expect(outbox.payloadOf(job.id)).toEqual(payload);

  const rows = await outbox.removeFor(job.id, webhookEntriesOf(job.entry));
  const [own, asked] = rows;
  expect(rows.map((row) => row.entry.webhookUrl)).toEqual(["https://app.example/ended", endpoint.url]);
  expect(outbox.payloadOf(asked?.id ?? 0)).toEqual(payload);
  expect(payloadsIn(database)).toBe(1);
  await outbox.remove(own?.id ?? 0);
  expect(payloadsIn(database)).toBe(1);
  await outbox.remove(asked?.id ?? 0);
  expect(payloadsIn(database)).toBe(0);
});

it("removes it with a row that is dropped, and with one whose end another process has recorded before", async () => {
  const database = await open();
  const outbox = outboxOf(database);
  const first = await recorded(outbox, withPayload);
  const second = await recorded(outbox, { ...withPayload, lease: { ...entry.lease, token: "second" } });
  expect(payloadsIn(database)).toBe(2);
  const [, webhook] = await outbox.removeFor(first.id, webhookEntriesOf(first.entry));
  await outbox.removeFor(second.id, webhookEntriesOf(second.entry));
  expect(payloadsIn(database)).toBe(1);
  expect(outbox.payloadOf(webhook?.id ?? 0)).toEqual(payload);
  const lost = await recorded(outbox, { ...withPayload, lease: { ...entry.lease, token: "third" } });
  await outbox.remove(lost.id);
  expect(payloadsIn(database)).toBe(1);
});

it("is neither read nor written while the row is claimed, waits, is listed and is claimed anew, nor is the entry written", async () => {
  const database = await open();
  const outbox = outboxOf(database);
  const row = await recorded(outbox, withPayload);
  const run = (sql: string) => database.write(() => database.command(sql).run());
  await run("UPDATE outbox_payloads SET payload = 'cannot be read'");
  for (const table of ["outbox_entries", "outbox_payloads"])
    await run(`CREATE TRIGGER no_${table} BEFORE UPDATE ON ${table} BEGIN SELECT raise(ABORT, 'written'); END`);
  await outbox.claims.renew();
  await outbox.markUploaded(row.id);
  await outbox.markReported(row.id);
  const error = { code: "WEBHOOK_UNREACHABLE", message: "away" } as const;
  await outbox.postpone([{ id: row.id, delayMs: 60_000, error, wasTried: true, wasReported: true }]);
  expect(await claimed(outbox)).toEqual([]);
  await outbox.wake();
  await outbox.wakeAll();
  await outbox.claims.release();
  expect(await claimed(outboxOf(database, "next"))).toMatchObject([{ entry: row.entry, tries: 1, reported: true }]);
  expect(outbox.oldest(10)).toMatchObject([{ entry: row.entry, error }]);
  expect(await outbox.giveUp("job")).toEqual({ givenUp: 1, storing: 0, unreadable: 0 });
  expect(() => outbox.payloadOf(row.id)).toThrow();
});

async function claimed(outbox: Outbox) {
  return (await Array.fromAsync(outbox.claims.claimDue(new Set()))).flat();
}

it("claims due rows in batches of at most 100 rows and a megabyte of entries", async () => {
  const database = await open();
  const outbox = outboxOf(database);
  const of = (token: string, userId: string) => ({ ...entry, userId, lease: { ...entry.lease, token } });
  await outbox.recordAll(Array.from({ length: 250 }, (_, place) => of(`small-${place}`, "ann")));
  const sizes = async () => (await Array.fromAsync(outbox.claims.claimDue(new Set()))).map((rows) => rows.length);
  expect(await sizes()).toEqual([100, 100, 50]);
  for (const { id } of await outbox.all()) await outbox.remove(id);
  const large = [0.4, 0.4, 0.4, 3, 0.4, 0.4].map((share) => "u".repeat(share * 1_000_000));
  await outbox.recordAll(large.map((userId, place) => of(`large-${place}`, userId)));
  expect(await sizes()).toEqual([2, 1, 1, 2]);
});

it("claims no row that was claimed, postponed or taken up since the first batch", async () => {
  const database = await open();
  const [first, second] = [outboxOf(database, "first"), outboxOf(database, "second")];
  const entries = Array.from({ length: 104 }, (_, place) => ({
    ...entry,
    lease: { ...entry.lease, token: `token-${place}` },
  }));
  await first.recordAll(entries);
  await first.claims.release();
  const active = new Set<number>();
  const batches = first.claims.claimDue(active);
  const { value: batch } = await batches.next();
  expect(batch).toHaveLength(100);
  const rest = await claimed(second);
  const [claimedByOther, postponed, takenUp, removed] = rest.map(({ id }) => id).sort((one, other) => one - other);
  if (!claimedByOther || !postponed || !takenUp || !removed) throw new Error("four rows were left");
  expect(rest).toHaveLength(4);
  const delay = { delayMs: 60_000, error: null, wasTried: false, wasReported: false };
  await second.postpone([{ id: postponed, ...delay }]);
  await second.remove(removed);
  const free = database.command("UPDATE outbox SET claimed_until_ms = 0 WHERE id = :id");
  await database.write(() => [postponed, takenUp].map((id) => free.run({ id })));
  active.add(takenUp);
  expect(await batches.next()).toMatchObject({ value: [] });
  expect(await batches.next()).toMatchObject({ done: true });
  expect(second.claims.isClaimed(claimedByOther)).toBe(true);
});

/** As version 4 of the outbox kept it. */
const insertEarlier = `INSERT INTO outbox (id, token, entry, next_try_at_ms, created_at_ms) VALUES (:id, :token, :entry, 1, 1)`;

it("goes on with rows that an earlier version has written, whatever they hold", async () => {
  const earlier = await open(outboxMigrations.slice(0, 4));
  const nested = (levels: number) => JSON.parse(`${'{"a":'.repeat(levels)}1${"}".repeat(levels)}`);
  const deep = { input: nested(1500), posted: { output: "é\u0000\ud83e\uddad" } };
  const texts = [
    JSON.stringify({ ...entry, endpoint: { ...endpoint, ...payload }, more: 1e-7 }),
    JSON.stringify({ ...entry, endpoint: { ...endpoint, ...deep } }),
    JSON.stringify({ ...entry, forWebhook: true, ended: true, lease: { ...entry.lease, jobId: "other" } }),
    "no entry",
  ];
  const insert = earlier.command(insertEarlier);
  await earlier.write(() => texts.map((text, place) => insert.run({ id: 7 + place, token: text, entry: text })));

  const database = await openDatabase(earlier.path, outboxMigrations);
  onTestFinished(() => database.close());
  const outbox = outboxOf(database);
  const kept = database.query("SELECT id, entry FROM outbox_entries", z.object({ id: z.number(), entry: z.string() }));
  const [split, ...others] = kept.all().map((row) => row.entry);
  expect(JSON.parse(split ?? "")).toEqual({ ...entry, endpoint, more: 1e-7 });
  expect(others).toEqual(texts.slice(1));
  expect((await claimed(outbox)).map((row) => row.id)).toEqual([7, 8, 9]);
  expect(outbox.payloadOf(7)).toEqual(payload);
  expect(JSON.stringify(outbox.payloadOf(8))).toBe(JSON.stringify(deep));
  expect(await outbox.giveUp("job")).toEqual({ givenUp: 1, storing: 0, unreadable: 0 });
  expect(await outbox.giveUp("other")).toEqual({ givenUp: 1, storing: 0, unreadable: 0 });

  const [webhook] = await outbox.removeFor(8, [{ ...entry, endpoint, ended: true, forWebhook: true }]);
  expect(webhook?.id).toBe(11);
  expect(JSON.stringify(outbox.payloadOf(11))).toBe(JSON.stringify(deep));
  await outbox.remove(11);
  await outbox.remove(7);
  expect(payloadsIn(database)).toBe(0);
});
