import { afterAll, beforeAll, expect, it } from "vitest";
import { untilEvent } from "#test/support/runtime.ts";
import { cancelJob } from "./api/jobs-cancel.ts";
import { startContainer, type TestContainer } from "./testing/container.ts";

let container: TestContainer;
beforeAll(async () => {
  container = await startContainer();
});
afterAll(() => container.stop());

const cancel = (id: string) => container.call("DELETE", `/jobs/${id}`);

it("cancels a job that waits at once", async () => {
  const first = await container.submitGated();
  await untilEvent(container.runtime, first.id, (event) => event.kind === "progress");
  const second = await container.submitGated();
  const answer = await cancel(second.id);
  expect(answer).toMatchObject({ status: 200, json: { job_id: second.id, status: "cancelled" } });
  expect(cancelJob.responses[200]?.parse(answer.json)).toEqual(answer.json);
  expect(await cancel(second.id)).toMatchObject({ status: 409, json: { code: "JOB_ALREADY_SETTLED" } });
  await first.open();
  await container.runtime.ended(first.id);
});

it("cancels a job that runs within a step", async () => {
  const job = await container.submitGated();
  await untilEvent(container.runtime, job.id, (event) => event.kind === "progress");
  const answer = await cancel(job.id);
  expect(answer).toMatchObject({ status: 202, json: { job_id: job.id, status: "cancelling" } });
  expect(cancelJob.responses[202]?.parse(answer.json)).toEqual(answer.json);
  expect((await container.runtime.ended(job.id)).status).toBe("cancelled");
});

it("has no job to cancel", async () => {
  expect(await cancel("unknown")).toMatchObject({ status: 404, json: { code: "JOB_NOT_FOUND" } });
});
