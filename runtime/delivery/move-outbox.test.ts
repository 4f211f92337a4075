import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it, onTestFinished } from "vitest";
import { z } from "zod";
import { readConfig } from "#runtime/container/config.ts";
import { openEmbedded } from "#runtime/container/embedded.ts";
import { moveOutbox } from "./move-outbox.ts";
import { Outbox } from "./outbox.ts";
import { outboxEntry } from "./outbox-entry.ts";

const entry = outboxEntry.parse({
  source: "sqlite",
  lease: { jobId: "job", token: "token", attempt: 1 },
  bucket: "clips",
  userId: "ann",
  settlement: { kind: "complete" },
  files: [
    {
      ...{ index: 0, type: "video", file: "/old/data/work/job/1/0.mp4", extension: "mp4", mimeType: "video/mp4" },
      ...{ sizeBytes: 7, metadata: { note: "/old/data/work" } },
      thumbnail: { file: "/old/data/work/job/1/0.thumb.webp", extension: "webp", mimeType: "image/webp" },
    },
  ],
  callback: { job_id: "job", attempt: 1, status: "completed", assets: [], metadata: {} },
  workFolder: "/old/data/work/job/1",
});

async function open() {
  const folder = await mkdtemp(join(tmpdir(), "ourvidz-move-outbox-"));
  const embedded = await openEmbedded(readConfig({ DATA_DIR: folder }, () => "observer"));
  onTestFinished(async () => {
    await embedded.close();
    await rm(folder, { recursive: true });
  });
  return embedded;
}

it("names the files of what waits where they are now, and changes nothing else", async () => {
  const { database } = await open();
  const outbox = new Outbox(database, { owner: "me", nowMs: Date.now, claimMs: 10_000 });
  await outbox.record(entry, true);
  await moveOutbox(database, "/old/data", "/new");
  const [moved] = await outbox.all();
  const [file] = entry.files;
  const thumbnail = { file: "/new/work/job/1/0.thumb.webp", extension: "webp", mimeType: "image/webp" };
  const files = [{ ...file, file: "/new/work/job/1/0.mp4", thumbnail }];
  expect(moved?.entry).toEqual({ ...entry, files, workFolder: "/new/work/job/1" });
});

it("moves the files of an entry that this version cannot read, and leaves one alone that is none", async () => {
  const { database } = await open();
  const outbox = new Outbox(database, { owner: "me", nowMs: Date.now, claimMs: 10_000 });
  await outbox.record(entry, true);
  await outbox.record({ ...entry, lease: { ...entry.lease, token: "other" } }, true);
  const change = database.command("UPDATE outbox_entries SET entry = :entry WHERE id = :id");
  const [first, second] = outbox.ids().sort();
  if (first === undefined || second === undefined) throw new Error("the outbox did not keep the entries");
  await database.write(() => {
    change.run({
      id: first,
      entry: JSON.stringify({ ...entry, settlement: { kind: "of-a-later-version" }, later: 1 }),
    });
    change.run({ id: second, entry: "no entry" });
  });
  await moveOutbox(database, "/old/data", "/new");
  const texts = database.query("SELECT entry FROM outbox_entries ORDER BY id", z.object({ entry: z.string() })).all();
  expect(JSON.parse(texts[0]?.entry ?? "")).toMatchObject({
    settlement: { kind: "of-a-later-version" },
    later: 1,
    files: [{ file: "/new/work/job/1/0.mp4" }],
    workFolder: "/new/work/job/1",
  });
  expect(texts[1]?.entry).toBe("no entry");
});
