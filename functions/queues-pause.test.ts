import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { z } from "zod";
import { startContainer, type TestContainer } from "./testing/container.ts";

/* What an operator does with jobs that wait: over HTTP, on a real container. */
let container: TestContainer;
beforeAll(async () => {
  container = await startContainer();
});
afterAll(() => container.stop());

const withId = z.object({ job_id: z.string() });
const queueViews = z.object({
  queues: z.array(z.looseObject({ queue: z.string(), paused_since: z.string().nullable() })),
});
const enqueue = async (fields: Record<string, unknown> = {}) =>
  withId.parse((await container.call("POST", "/jobs", { body: { type: "gated", prompt: "a lake", ...fields } })).json)
    .job_id;
const pausedSince = async (name: string) =>
  queueViews.parse((await container.call("GET", "/queues")).json).queues.find(({ queue }) => queue === name)
    ?.paused_since;
const show = async (id: string) => (await container.call("GET", `/jobs/${id}`)).json;

describe("a queue that is paused", () => {
  it("keeps its jobs, which say so, until it is resumed", async () => {
    expect(await container.call("POST", "/queues/test_queue/pause")).toMatchObject({
      status: 200,
      json: { queue: "test_queue", paused: true, unreachable: [] },
    });
    const since = await pausedSince("test_queue");
    expect(since).toEqual(expect.any(String));
    const [first, second] = [await enqueue(), await enqueue()];
    expect(await show(first)).toMatchObject({
      status: "queued",
      queue_position: 1,
      waiting_reason: { code: "QUEUE_PAUSED", message: expect.stringContaining("/queues/test_queue/resume") },
    });
    expect(await show(second)).toMatchObject({ queue_position: 2 });
    expect((await container.call("GET", "/queues/test_queue/waiting?limit=1")).json).toMatchObject({
      queue: "test_queue",
      source: "sqlite",
      jobs: [{ job_id: first, queue_position: 1, waiting_reason: { code: "QUEUE_PAUSED" } }],
    });
    await container.call("POST", "/queues/test_queue/resume");
    expect(await pausedSince("test_queue")).toBeNull();
    expect(await container.runtime.ended(first)).toMatchObject({ status: "completed" });
    expect(await show(first)).toMatchObject({ queue_position: null, waiting_reason: null });
    await container.runtime.ended(second);
  });

  it("may be one of a worker that runs elsewhere; of any other name there is none", async () => {
    await container.call("POST", "/queues/wan_queue/pause");
    expect(await pausedSince("wan_queue")).toEqual(expect.any(String));
    await container.call("POST", "/queues/wan_queue/resume");
    expect(await container.call("POST", "/queues/nobody_queue/pause")).toMatchObject({
      status: 404,
      json: { code: "NOT_FOUND" },
    });
  });
});

describe("PATCH /jobs/:id", () => {
  it("moves a waiting job, whose followers hear of every place", async () => {
    await container.call("POST", "/queues/test_queue/pause");
    const [first, second] = [await enqueue(), await enqueue()];
    const { url } = await container.listen();
    const answer = await fetch(`${url}/jobs/${first}/events`);
    if (answer.body === null) throw new Error("there are no events");
    const text = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    let heard = "";
    const until = async (words: string) => {
      while (!heard.includes(words)) heard += (await text.read()).value ?? "";
    };
    await until('event: place\ndata: {"queue_position":1}');
    expect(await container.call("PATCH", `/jobs/${second}`, { body: { priority: 5 } })).toMatchObject({
      status: 200,
      json: { job_id: second, priority: 5, queue_position: 1 },
    });
    await until('event: place\ndata: {"queue_position":2}');
    expect(await show(second)).toMatchObject({ priority: 5, queue_position: 1 });
    await container.call("POST", "/queues/test_queue/resume");
    await container.runtime.ended(first);
    await text.cancel();
    const ended = (await Promise.all([first, second].map((id) => container.runtime.queue.get(id)))).map(
      (record) => record?.startedAtMs ?? 0,
    );
    expect(ended[1]).toBeLessThanOrEqual(ended[0] ?? 0);
  });

  it.each([
    [{ priority: 101 }, 400],
    [{ priority: 1.5 }, 400],
    [{}, 400],
    [{ priority: 1, prompt: "another" }, 400],
  ])("%j is refused", async (body, status) => {
    const id = await enqueue({ delay_seconds: 3600 });
    expect(await container.call("PATCH", `/jobs/${id}`, { body })).toMatchObject({
      status,
      json: { code: "INVALID_REQUEST" },
    });
    await container.call("DELETE", `/jobs/${id}`);
  });

  it("is refused for a job that does not wait", async () => {
    const id = await enqueue();
    await container.runtime.ended(id);
    expect(await container.call("PATCH", `/jobs/${id}`, { body: { priority: 1 } })).toMatchObject({
      status: 409,
      json: { code: "JOB_NOT_QUEUED" },
    });
    expect(await container.call("PATCH", "/jobs/nobody", { body: { priority: 1 } })).toMatchObject({ status: 404 });
  });
});
