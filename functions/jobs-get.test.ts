import { rename } from "node:fs/promises";
import { afterAll, beforeAll, expect, it } from "vitest";
import { jobView } from "./api/schemas/job-view.ts";
import { startContainer, type TestContainer } from "./testing/container.ts";

let container: TestContainer;
beforeAll(async () => {
  container = await startContainer();
});
afterAll(() => container.stop());

const view = async (id: string) => jobView.parse((await container.call("GET", `/jobs/${id}`)).json);

it("shows a job before, while and after it runs", async () => {
  container.runtime.dispatcher.pause();
  const job = await container.submitGated({ size: 30 });
  expect(await view(job.id)).toMatchObject({
    job_id: job.id,
    type: "gated",
    status: "queued",
    attempt: 0,
    attempts: [],
    prompt: "a quiet lake",
    started_at: null,
    settled_at: null,
    assets: [],
    error: null,
    result_metadata: null,
    text: null,
  });
  container.runtime.dispatcher.resume();
  await job.open();
  await container.runtime.ended(job.id);
  const done = await view(job.id);
  expect(done).toMatchObject({
    status: "completed",
    attempt: 1,
    attempts: [{ attempt: 1, outcome: "completed", worker_id: "test-worker", error: null }],
    result_metadata: { length: 30 },
    text: "01234",
  });
  const path = `anonymous/${job.id}/0.txt`;
  expect(done.assets).toMatchObject([{ type: "text", index: 0, path, size_bytes: 30, thumbnail_url: null }]);
  expect(done.assets[0]?.url).toMatch(
    /^http:\/\/localhost\/files\/gated\/anonymous\/[\w-]+\/0\.txt\?expires=\d+&signature=[\w-]{43}$/,
  );
  expect(Date.parse(done.settled_at ?? "")).toBeGreaterThanOrEqual(Date.parse(done.started_at ?? ""));
});

it("shows why a job failed, without its secrets", async () => {
  const id = await container.runtime.submit("gated", { fail: "GET https://files.test/a?token=abcdef was refused" });
  await container.runtime.ended(id);
  const message = "GET https://files.test/a?token=[redacted] was refused";
  expect(await view(id)).toMatchObject({
    status: "failed",
    error: { code: "HANDLER_FAILED", message },
    attempts: [{ outcome: "failed", error: { message } }],
  });
});

it.each(["unknown", "%00", "..%2f..", "a%20b", "x".repeat(1000), "%F0%9F%8C%8A"])("has no job %s", async (id) => {
  expect(await container.call("GET", `/jobs/${id}`)).toMatchObject({ status: 404, json: { code: "JOB_NOT_FOUND" } });
});

it("says that the data folder is gone, as every read of jobs does, and shows the job when it is back", async () => {
  const id = await container.runtime.submit("gated", { fail: "as requested" });
  await container.runtime.ended(id);
  const { folder } = container.runtime;
  await rename(folder, `${folder}.away`);
  for (const path of [`/jobs/${id}`, "/jobs", "/failures", "/queues/test_queue/dead", `/jobs/${id}/events`]) {
    const { status, json } = await container.call("GET", path);
    expect([path, status, json]).toMatchObject([path, 500, { code: "DATA_FOLDER_UNUSABLE", error: /put it back/ }]);
  }
  const matching = await container.call("POST", "/jobs/discard", { body: { status: "failed", dry_run: true } });
  expect(matching).toMatchObject({ status: 500, json: { code: "DATA_FOLDER_UNUSABLE" } });
  await rename(`${folder}.away`, folder);
  expect(await view(id)).toMatchObject({ job_id: id, status: "failed" });
});
