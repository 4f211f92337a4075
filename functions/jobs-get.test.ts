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
  });
  const path = `anonymous/${job.id}/0.txt`;
  expect(done.assets).toMatchObject([{ type: "text", index: 0, path, size_bytes: 30, thumbnail_url: null }]);
  expect(done.assets[0]?.url).toMatch(/^\/files\/gated\/anonymous\/[\w-]+\/0\.txt\?expires=\d+&signature=[\w-]{43}$/);
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
