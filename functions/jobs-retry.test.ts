import { afterAll, beforeAll, expect, it } from "vitest";
import { retryJob } from "./api/jobs-retry.ts";
import { startContainer, type TestContainer } from "./testing/container.ts";

let container: TestContainer;
beforeAll(async () => {
  container = await startContainer();
});
afterAll(() => container.stop());

const retry = (id: string) => container.call("POST", `/jobs/${id}/retry`);

it("puts a failed job back on its queue", async () => {
  const id = await container.runtime.submit("gated", { stumble: "on purpose" });
  await container.runtime.ended(id);
  container.runtime.dispatcher.pause();
  const answer = await retry(id);
  expect(answer).toMatchObject({ status: 202, json: { job_id: id, status: "queued" } });
  expect(retryJob.responses[202]?.parse(answer.json)).toEqual(answer.json);
  expect(await container.runtime.queue.get(id)).toMatchObject({ status: "queued", attempt: 0 });
  const error = `Job ${id} is queued: only a failed job can be retried, and this one runs when its turn comes.`;
  expect(await retry(id)).toMatchObject({ status: 409, json: { code: "JOB_NOT_FAILED", error } });
});

it("refuses a job that would fail again, unless it is forced", async () => {
  container.runtime.dispatcher.resume();
  const id = await container.runtime.submit("gated", { fail: "a lake cannot be a square" });
  await container.runtime.ended(id);
  container.runtime.dispatcher.pause();
  expect(await retry(id)).toMatchObject({ status: 409, json: { code: "JOB_NOT_RETRYABLE", error: /force=true/ } });
  expect(await container.runtime.queue.get(id)).toMatchObject({ status: "failed", error: { permanent: true } });
  expect(await container.call("POST", `/jobs/${id}/retry?force=yes`)).toMatchObject({ status: 400 });
  expect(await container.call("POST", `/jobs/${id}/retry?force=true`)).toMatchObject({ status: 202 });
});

it("has no job to retry", async () => {
  expect(await retry("unknown")).toMatchObject({ status: 404, json: { code: "JOB_NOT_FOUND" } });
});
