import { afterAll, beforeAll, expect, it } from "vitest";
import { createApp } from "#functions/index.ts";
import { createLogger } from "#runtime/observe/log.ts";
import { startTestGateway, type TestGateway } from "./support/gateway.ts";
import { startTestRuntime, type TestRuntime, untilEvent } from "./support/runtime.ts";

/* Two containers on one Redis behind the REST gateway, as they are in production on Upstash. */
let gateway: TestGateway;
let first: TestRuntime;
let second: TestRuntime;

beforeAll(async () => {
  gateway = await startTestGateway();
  const env = { UPSTASH_REDIS_REST_URL: gateway.url, UPSTASH_REDIS_REST_TOKEN: gateway.token };
  [first, second] = await Promise.all([startTestRuntime(env), startTestRuntime(env)]);
});

afterAll(async () => {
  for (const runtime of [first, second]) {
    await runtime.stop();
    await runtime.remove();
  }
  await gateway.close();
});

/** Which container runs the job; it waits until one does. */
async function runnerOf(jobId: string): Promise<{ here: TestRuntime; other: TestRuntime }> {
  await expect.poll(async () => (await first.queue.get(jobId))?.status, { timeout: 10_000 }).toBe("running");
  return first.events.replay(jobId).length > 0 ? { here: first, other: second } : { here: second, other: first };
}

it("runs what a producer pushes in its own dialect, and says what it was", async () => {
  const element = JSON.stringify({
    data: JSON.stringify({ jobId: "pushed-1", jobType: "noop", userId: "ann", prompt: "a quiet lake" }),
  });
  await gateway.client().lpush("test_queue", element);
  await gateway.client().publish("ourvidz:events", "jobs");
  await expect.poll(async () => (await first.queue.get("pushed-1"))?.status, { timeout: 30_000 }).toBe("completed");
  expect(await second.queue.get("pushed-1")).toMatchObject({
    attempt: 1,
    job: { user_id: "ann" },
    result: { assets: [{ url: "ann/pushed-1/0.txt" }] },
  });
});

it("fails a pushed job whose fields are wrong, naming them", async () => {
  await gateway.client().lpush("test_queue", JSON.stringify({ id: "pushed-2", type: "noop", priority: 7000 }));
  await gateway.client().publish("ourvidz:events", "jobs");
  await expect.poll(async () => (await first.queue.get("pushed-2"))?.status, { timeout: 30_000 }).toBe("failed");
  expect(await first.queue.get("pushed-2")).toMatchObject({
    error: { code: "INVALID_JOB", message: expect.stringContaining("priority is 7000") },
  });
});

it("cancels a running job from the other container within a step", async () => {
  const jobId = await first.submit("noop", { steps: 500, step_ms: 20 });
  const { here, other } = await runnerOf(jobId);
  await untilEvent(here, jobId, (event) => event.kind === "progress");
  const requestedAtMs = performance.now();
  expect(await other.queue.cancel(jobId)).toBe("requested");
  expect(await here.ended(jobId)).toMatchObject({ status: "cancelled" });
  // 500 steps take 10 s; the cancel is heard by the event stream.
  expect(performance.now() - requestedAtMs).toBeLessThan(5000);
});

it("gives a job that a stopping container cannot finish to the other one, uncharged", async () => {
  const env = {
    UPSTASH_REDIS_REST_URL: gateway.url,
    UPSTASH_REDIS_REST_TOKEN: gateway.token,
    SHUTDOWN_GRACE_SECONDS: "0",
    WORKER_ID: "stopping",
  };
  first.dispatcher.pause();
  second.dispatcher.pause();
  const stopping = await startTestRuntime(env);
  const jobId = await stopping.submit("noop", { steps: 30, step_ms: 20 });
  await untilEvent(stopping, jobId, (event) => event.kind === "progress");
  await stopping.stop();
  await stopping.remove();
  first.dispatcher.resume();
  second.dispatcher.resume();
  await expect.poll(async () => (await first.queue.get(jobId))?.status, { timeout: 15_000 }).toBe("completed");
  expect(await first.queue.get(jobId)).toMatchObject({
    attempt: 1,
    attempts: [{ outcome: "released", workerId: "stopping" }, { outcome: "completed" }],
  });
});

it("shows depth and cost over HTTP", async () => {
  const app = createApp(first, await createLogger({ level: "silent", format: "json" }));
  const response = await app.request("/queues", { headers: { Host: "127.0.0.1" } });
  expect(await response.json()).toMatchObject({
    source: "upstash",
    usage: { commands: expect.any(Number), commands_by_operation: { take: expect.any(Number) } },
  });
});
