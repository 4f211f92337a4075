import { setImmediate } from "node:timers/promises";
import { expect, it } from "vitest";
import type { JobView } from "../api/schemas/job-view.ts";
import { startContainer } from "../testing/container.ts";
import { respondWithFiles } from "./inline-files.ts";
import { viewJob } from "./job-view.ts";

const { signal } = new AbortController();

/** A job that has ended, seen as one with these files, which its store has. */
async function jobWith(files: readonly (Uint8Array | null)[]) {
  const container = await startContainer();
  const id = await container.runtime.submit("gated", { size: 1 });
  await container.runtime.ended(id);
  const record = await container.runtime.queue.get(id);
  if (record === null) throw new Error("the job is gone");
  const job = await viewJob(record, container.runtime, "http://localhost");
  const [asset] = job.assets;
  if (asset === undefined) throw new Error("the job has no file");
  await container.stop();
  const assets = files.map((_, index): JobView["assets"][number] => ({ ...asset, path: String(index) }));
  // Only `read` is called.
  const store = Object.assign(Object.create(container.runtime.store), {
    read: async (_bucket: string, path: string) => files[Number(path)] ?? null,
  });
  return { job: { ...job, assets }, store };
}

it("writes files of any length in their places, and holds a place until they are taken", {
  timeout: 60_000,
}, async () => {
  const large = Uint8Array.from({ length: 500_001 }, (_, index) => index % 251);
  const files = [large, null, new Uint8Array(0), Uint8Array.of(1, 2)];
  const { job, store } = await jobWith(files);
  const answer = { job, headers: { Location: "/jobs/x" }, more: { ignored: ["a"] } };
  const response = await respondWithFiles(answer, { store }, signal);
  expect(response.headers.get("location")).toBe("/jobs/x");
  const inBase64 = files.map((file) => (file === null ? null : Buffer.from(file).toString("base64")));
  expect(await response.json()).toEqual({
    ...JSON.parse(JSON.stringify(job)),
    assets: job.assets.map((asset, index) => ({ ...asset, base64: inBase64[index] })),
    ignored: ["a"],
  });
  // Eight readers that take nothing hold all places; the ninth gets that of one who leaves.
  const unread = await Promise.all(Array.from({ length: 8 }, () => respondWithFiles(answer, { store }, signal)));
  const ninth = respondWithFiles(answer, { store }, signal);
  let isAnswered = false;
  void ninth.then(() => {
    isAnswered = true;
  });
  // This store answers within one turn.
  await setImmediate();
  expect(isAnswered).toBe(false);
  await unread[0]?.body?.cancel();
  expect((await ninth).status).toBe(200);
});
