import { afterAll, beforeAll, expect, it } from "vitest";
import { z } from "zod";
import { startTestGateway, type TestGateway } from "./support/gateway.ts";
import { startTestRuntime, type TestRuntime, untilEvent } from "./support/runtime.ts";

/* One container that takes jobs from Redis and from its own data folder. */
let gateway: TestGateway;
let runtime: TestRuntime;

beforeAll(async () => {
  gateway = await startTestGateway();
  runtime = await startTestRuntime({
    UPSTASH_REDIS_REST_URL: gateway.url,
    UPSTASH_REDIS_REST_TOKEN: gateway.token,
    SOURCES: "upstash,sqlite",
  });
});

afterAll(async () => {
  await runtime.stop();
  await runtime.remove();
  await gateway.close();
});

const both = ["upstash", "sqlite"] as const;

const childOf = async (parent: string) => {
  const { result } = await runtime.ended(parent);
  return z.looseObject({ child: z.string() }).parse(result?.metadata).child;
};

it.each(both)("runs a job of %s, and puts its child beside it", async (source) => {
  const parent = await runtime.submit("parent", {}, {}, source);
  expect(await runtime.ended(parent)).toMatchObject({ status: "completed" });
  const child = await childOf(parent);
  const holders = await Promise.all(
    [...runtime.queue.byName].map(async ([name, queue]) => ((await queue.get(child)) === null ? [] : [name])),
  );
  expect(holders.flat()).toEqual([source]);
  expect(await runtime.ended(child)).toMatchObject({ status: "completed" });
});

it.each(both)("cancels a job of %s that runs, and redrives one that failed", async (source) => {
  const running = await runtime.submit("noop", { steps: 500, step_ms: 20 }, {}, source);
  await untilEvent(runtime, running, (event) => event.kind === "progress");
  expect(await runtime.queue.cancel(running)).toBe("requested");
  expect(await runtime.ended(running)).toMatchObject({ status: "cancelled" });

  const failing = await runtime.submit("noop", { fail_until_attempt: 9, failure: "permanent" }, {}, source);
  expect(await runtime.ended(failing)).toMatchObject({ status: "failed" });
  runtime.dispatcher.pause();
  await runtime.queue.redrive(failing);
  expect(await runtime.queue.get(failing)).toMatchObject({ status: "queued", attempt: 0 });
  expect(await runtime.queue.cancel(failing)).toBe("cancelled");
  runtime.dispatcher.resume();
});

it("lists the jobs of both, newest first", async () => {
  runtime.dispatcher.pause();
  const ids: string[] = [];
  for (const source of [...both, ...both]) {
    ids.unshift(await runtime.submit("noop", {}, { user_id: "lister" }, source));
    // Jobs of one millisecond are in the order of the sources.
    const atMs = Date.now();
    await expect.poll(() => Date.now(), { interval: 1 }).toBeGreaterThan(atMs);
  }
  const { jobs, cursor, unreachable } = await runtime.queue.list({ userId: "lister", limit: 3 });
  const rest = await runtime.queue.list({ userId: "lister", limit: 3, cursor: cursor ?? "" });
  expect([...jobs, ...rest.jobs].map(({ job }) => job.id)).toEqual(ids);
  expect({ cursor: rest.cursor, unreachable }).toEqual({ cursor: null, unreachable: [] });
  runtime.dispatcher.resume();
  for (const id of ids) await runtime.ended(id);
});

it("finds, cancels and lists a job of the data folder while Redis is away, and says what it cannot see", async () => {
  runtime.dispatcher.pause();
  const id = await runtime.submit("noop", {}, { user_id: "alone" }, "sqlite");
  await gateway.redis.kill();
  expect(await runtime.queue.get(id)).toMatchObject({ status: "queued" });
  expect(await runtime.queue.list({ userId: "alone", limit: 9 })).toMatchObject({
    jobs: [{ job: { id } }],
    unreachable: ["upstash"],
  });
  await expect(runtime.queue.get("in neither")).rejects.toMatchObject({ code: "QUEUE_UNREACHABLE" });
  expect(await runtime.queue.cancel(id)).toBe("cancelled");
  await gateway.redis.restart();
  runtime.dispatcher.resume();
});
