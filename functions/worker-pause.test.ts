import { afterAll, beforeAll, expect, it } from "vitest";
import { untilEvent } from "#test/support/runtime.ts";
import { startContainer, type TestContainer } from "./testing/container.ts";

let container: TestContainer;
beforeAll(async () => {
  container = await startContainer();
});
afterAll(() => container.stop());

it("a paused container takes no jobs, lets the running one end, and says that it is not ready", async () => {
  const { id, open } = await container.submitGated();
  await untilEvent(container.runtime, id, (event) => event.kind === "progress");
  expect((await container.call("POST", "/worker/pause")).json).toEqual({ status: "paused", active_jobs: 1 });
  expect(await container.call("GET", "/ready")).toMatchObject({ status: 503, json: { code: "NOT_READY" } });
  const waiting = await container.runtime.submit("gated");
  await open();
  expect(await container.runtime.ended(id)).toMatchObject({ status: "completed" });
  expect(await container.runtime.queue.get(waiting)).toMatchObject({ status: "queued", attempt: 0 });
  expect((await container.call("POST", "/worker/pause")).json).toEqual({ status: "paused", active_jobs: 0 });

  expect((await container.call("POST", "/worker/resume")).json).toMatchObject({ status: "running" });
  expect(await container.runtime.ended(waiting)).toMatchObject({ status: "completed" });
  expect((await container.call("GET", "/ready")).status).toBe(200);
});
