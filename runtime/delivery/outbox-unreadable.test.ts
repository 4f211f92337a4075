import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { z } from "zod";
import { type Database, databaseFile, openDatabase } from "#runtime/lib/database/database.ts";
import { Outbox } from "./outbox.ts";
import type { OutboxEntry } from "./outbox-entry.ts";
import { outboxMigrations } from "./outbox-migrations.ts";
import { rowName, rowOfName, type UnreadableRow } from "./outbox-row.ts";

/* Rows that a newer version has written, or that are damaged: they stop nothing, and are nobody's until who can read them comes. */
let folder: string;
let database: Database;
let nowMs: number;
let reported: UnreadableRow[];
let outbox: Outbox;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "ourvidz-unreadable-"));
  database = await openDatabase(databaseFile(folder), outboxMigrations);
  nowMs = 1_000_000;
  reported = [];
  outbox = opened("own");
});

afterEach(async () => {
  database.close();
  await rm(folder, { recursive: true });
});

function opened(owner: string): Outbox {
  const onUnreadable = (row: UnreadableRow) => reported.push(row);
  return new Outbox(database, { owner, nowMs: () => nowMs, claimMs: 1000, onUnreadable });
}

function entryOf(jobId: string, fields: Partial<OutboxEntry> = {}): OutboxEntry {
  return {
    source: "sqlite",
    lease: { jobId, token: `token of ${jobId}`, attempt: 1, run: 1 },
    ended: false,
    bucket: "noop",
    userId: "ann",
    settlement: { kind: "complete" },
    files: [],
    callback: { job_id: jobId, status: "completed", attempt: 1, metadata: {}, assets: [] },
    forWebhook: false,
    workFolder: `/work/${jobId}/1`,
    ...fields,
  };
}

const claimed = z.object({ untilMs: z.number() });
const damaged = '{"source":';
const newer = (entry: OutboxEntry) => JSON.stringify({ ...entry, settlement: { kind: "handed over" } });

/** A row that nobody works on any more and that holds this text. */
async function recorded(entry: OutboxEntry, text: string): Promise<number> {
  const row = await opened("another version").record(entry, true);
  const id = row?.id ?? 0;
  const change = database.command("UPDATE outbox_entries SET entry = :text WHERE id = :id");
  const free = database.command("UPDATE outbox SET claimed_until_ms = 0 WHERE id = :id");
  await database.write(() => [change.run({ id, text }), free.run({ id })]);
  return id;
}

const claimedJobs = async (by = outbox) =>
  (await Array.fromAsync(by.claims.claimDue(new Set()))).flat().map(({ entry: { lease } }) => lease.jobId);

it.each([
  ["is damaged", () => damaged, null],
  ["a newer version has written", newer, "lake"],
])(
  "one that %s is not claimed, is reported once, and keeps no other from being claimed",
  async (_what, text, jobId) => {
    const entry = entryOf("lake");
    const id = await recorded(entry, text(entry));
    await recorded(entryOf("hill"), JSON.stringify(entryOf("hill")));
    for (const _ of [1, 2]) {
      expect(await claimedJobs()).toEqual(["hill"]);
      await outbox.claims.renew();
      nowMs += 500;
    }
    const row = { id, jobId, createdAtMs: 1_000_000 };
    expect(reported).toEqual([row]);
    expect([outbox.claims.unreadable, outbox.unreadable(10)]).toEqual([[row], [row]]);
    expect(outbox.oldest(10).map(({ entry: { lease } }) => lease.jobId)).toEqual(["hill"]);
    // The version that wrote it can have it at once, whatever this one does.
    const claim = database.query("SELECT claimed_until_ms AS untilMs FROM outbox WHERE id = :id", claimed);
    expect(claim.get({ id })).toEqual({ untilMs: 0 });
  },
);

it("one that is gone is forgotten", async () => {
  const entry = entryOf("lake");
  const id = await recorded(entry, newer(entry));
  await claimedJobs();
  outbox.claims.keepUnreadable(new Set([id]));
  expect(outbox.claims.unreadable).toHaveLength(1);
  outbox.claims.keepUnreadable(new Set(outbox.ids().filter((other) => other !== id)));
  expect(outbox.claims.unreadable).toEqual([]);
});

it("a report is given up though another row is damaged, and none of those that cannot be read is", async () => {
  await recorded(entryOf("river"), damaged);
  const ended = entryOf("dune", { ended: true });
  await recorded(ended, damaged);
  await recorded(entryOf("lake"), newer(entryOf("lake")));
  await outbox.record(entryOf("hill"), true);
  const found = await Promise.all(["hill", "lake", "dune", "river"].map((id) => outbox.giveUp(id)));
  expect(found).toEqual([
    { givenUp: 1, storing: 0, unreadable: 0 },
    { givenUp: 0, storing: 0, unreadable: 1 },
    // By the key of its row.
    { givenUp: 0, storing: 0, unreadable: 1 },
    { givenUp: 0, storing: 0, unreadable: 0 },
  ]);
  expect(outbox.unreadable(10).map(({ jobId }) => jobId)).toEqual([null, "dune", "lake"]);
});

it("one is removed by its name, unless it can be read or a live process works on it", async () => {
  const entry = entryOf("lake");
  const id = await recorded(entry, newer(entry));
  const readable = await outbox.record(entryOf("hill"), true);
  const claim = database.command("UPDATE outbox SET claimed_until_ms = :until WHERE id = :id");
  await database.write(() => claim.run({ id, until: nowMs + 1 }));
  expect([rowOfName(rowName(id)), rowOfName("lake")]).toEqual([id, null]);
  expect(await outbox.removeUnreadable(id)).toBe(false);
  nowMs += 1;
  const removed = [id, id, readable?.id ?? 0].map((each) => outbox.removeUnreadable(each));
  expect(await Promise.all(removed)).toEqual([true, false, false]);
  expect(outbox.ids()).toEqual([readable?.id]);
});

it("an end that is recorded again takes the place of what cannot be read, and is delivered", async () => {
  const ended = entryOf("lake", { ended: true });
  const id = await recorded(ended, newer(ended));
  expect(await claimedJobs()).toEqual([]);
  expect(await outbox.recordAll([ended, entryOf("hill", { ended: true })])).toMatchObject([
    { id, entry: ended },
    { id: expect.any(Number) },
  ]);
  expect(outbox.claims.unreadable).toEqual([]);
  nowMs += 2000;
  expect(await claimedJobs(opened("next"))).toEqual(["lake", "hill"]);
});

it("the files of one that a newer version has written are still needed", async () => {
  await recorded(entryOf("river"), damaged);
  await recorded(entryOf("lake"), newer(entryOf("lake")));
  await outbox.record(entryOf("hill"), true);
  expect((await Array.fromAsync(outbox.workFolders())).flat()).toEqual(["/work/lake/1", "/work/hill/1"]);
});
