import { afterAll, beforeAll, expect, it } from "vitest";
import { listQueues } from "./api/queues-list.ts";
import { startContainer, type TestContainer } from "./testing/container.ts";

let container: TestContainer;
beforeAll(async () => {
  container = await startContainer();
});
afterAll(() => container.stop());

it("counts what waits and what runs, and knows no cost of an embedded queue", async () => {
  const { id, open } = await container.submitGated();
  await expect.poll(async () => (await container.runtime.queue.get(id))?.status).toBe("running");
  container.runtime.dispatcher.pause();
  await container.runtime.submit("gated");
  const { status, json } = await container.call("GET", "/queues");
  expect(status).toBe(200);
  expect(listQueues.responses[200]?.parse(json)).toEqual(json);
  expect(json).toMatchObject({
    source: "sqlite",
    queues: [{ queued: 1, running: 1, failed: 0, oldest_queued_seconds: expect.any(Number) }],
    usage: null,
  });
  await open();
});
