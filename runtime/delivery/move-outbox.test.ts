import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it, onTestFinished } from "vitest";
import { readConfig } from "#runtime/container/config.ts";
import { openEmbedded } from "#runtime/container/embedded.ts";
import { moveOutbox } from "./move-outbox.ts";
import { Outbox, outboxEntry } from "./outbox.ts";

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

it("names the files of what waits where they are now, and changes nothing else", async () => {
  const folder = await mkdtemp(join(tmpdir(), "ourvidz-move-outbox-"));
  const embedded = await openEmbedded(readConfig({ DATA_DIR: folder }, () => "observer"));
  onTestFinished(async () => {
    await embedded.close();
    await rm(folder, { recursive: true });
  });
  const { database } = embedded;
  const outbox = new Outbox(database, { owner: "me", nowMs: Date.now, claimMs: 10_000 });
  await outbox.record(entry, true);
  await moveOutbox(database, "/old/data", "/new");
  const [moved] = await outbox.all();
  const [file] = entry.files;
  const thumbnail = { file: "/new/work/job/1/0.thumb.webp", extension: "webp", mimeType: "image/webp" };
  const files = [{ ...file, file: "/new/work/job/1/0.mp4", thumbnail }];
  expect(moved?.entry).toEqual({ ...entry, files, workFolder: "/new/work/job/1" });
});
