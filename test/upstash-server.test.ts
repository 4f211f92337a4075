import { setTimeout as pause } from "node:timers/promises";
import { createClient } from "redis";
import { afterEach, describe, expect, test, vi } from "vitest";
import { jobEnvelope } from "#contract/job.ts";
import type { UpstashOptions } from "#runtime/sources/upstash/options.ts";
import { createUpstashSource, type UpstashSource } from "#runtime/sources/upstash/upstash-source.ts";
import { startTestGateway, type TestGateway } from "./support/gateway.ts";

/* What the server does to the queue: it restarts, is full, or has another time than the containers. */

const opened: { close(): Promise<void> }[] = [];
afterEach(async () => {
  vi.useRealTimers();
  for (const each of opened.splice(0).toReversed()) await each.close();
});

async function open(options: Parameters<typeof startTestGateway>[0] = {}): Promise<TestGateway> {
  const gateway = await startTestGateway(options);
  opened.push(gateway);
  return gateway;
}

function container(gateway: TestGateway, options: Partial<UpstashOptions> = {}): UpstashSource {
  const workerId = `container-${opened.length}`;
  const source = createUpstashSource({ url: gateway.url, token: gateway.token, workerId, ...options });
  opened.push(source);
  return source;
}

const makeJob = (id: string, prompt = "a red cube") => jobEnvelope.parse({ id, type: "sdxl_image_fast", prompt });
const take = async (source: UpstashSource, slots = 1) => (await source.take([{ worker: "sdxl", slots }])).leases;
const result = { assets: [], metadata: {} };

test("a server that is killed and started again has lost nothing", { timeout: 60_000 }, async () => {
  const gateway = await open({ redis: { persistence: true } });
  const source = container(gateway, { tries: 1, requestTimeoutMs: 1_000 });
  await source.enqueue(makeJob("running"), { worker: "sdxl" });
  await source.enqueue(makeJob("waiting"), { worker: "sdxl" });
  const [lease] = await take(source);
  await gateway.client().lpush("sdxl_queue", JSON.stringify(makeJob("pushed")));

  await gateway.redis.kill();
  await expect(take(source)).rejects.toMatchObject({ code: "QUEUE_UNREACHABLE" });
  await gateway.redis.restart();

  await vi.waitFor(() => source.stats(), { timeout: 20_000 });
  if (lease === undefined) throw new Error("a job was due");
  expect(await source.renew([{ lease, progress: 0.5 }])).toEqual(["held"]);
  expect(await source.complete(lease, result)).toBe("completed");
  expect((await take(source, 5)).map(({ jobId }) => jobId)).toEqual(["waiting", "pushed"]);
});

test("a wait for jobs outlasts the server's absence", { timeout: 60_000 }, async () => {
  const gateway = await open({ redis: { persistence: true } });
  const source = container(gateway, { idlePoll: { firstMs: 50, withoutEventsMs: 200, withEventsMs: 200 } });
  await take(source);
  const wait = source.waitForChange(30_000, new AbortController().signal, "jobs");
  await pause(100);
  await gateway.redis.kill();
  await pause(300);
  await gateway.redis.restart();
  await vi.waitFor(() => gateway.client().lpush("sdxl_queue", JSON.stringify(makeJob("pushed"))), { timeout: 20_000 });
  await wait;
  await vi.waitFor(async () => expect(await take(source)).toHaveLength(1), { timeout: 20_000 });
});

test("a full database says so, keeps what it has, and goes on when it has room", async () => {
  const gateway = await open();
  const redis = createClient({ url: gateway.redis.url });
  await redis.connect();
  opened.push({ close: async () => redis.destroy() });
  const source = container(gateway);
  await source.enqueue(makeJob("a"), { worker: "sdxl" });
  await gateway.client().lpush("sdxl_queue", JSON.stringify(makeJob("pushed")));
  const [lease] = await take(source);
  if (lease === undefined) throw new Error("a job was due");

  await redis.configSet({ "maxmemory-policy": "noeviction", maxmemory: "1mb" });
  const refused = source.enqueue(makeJob("b", "x".repeat(50_000)), { worker: "sdxl" });
  await expect(refused).rejects.toMatchObject({ code: "QUEUE_FULL" });
  expect(await source.get("b")).toBeNull();
  // What has begun can end, and what waits can begin: only new jobs need room.
  expect(await source.complete(lease, result)).toBe("completed");
  expect((await take(source, 5)).map(({ jobId }) => jobId)).toEqual(["pushed"]);

  await redis.configSet({ maxmemory: "0" });
  await source.enqueue(makeJob("b"), { worker: "sdxl" });
  expect((await take(source, 5)).map(({ jobId }) => jobId)).toEqual(["b"]);
});

describe("a container whose clock is wrong", () => {
  test.each([-10, 10])("by %i minutes holds its leases as long as any other", async (minutes) => {
    const gateway = await open();
    vi.useFakeTimers({ toFake: ["Date"], now: Date.now() + minutes * 60_000 });
    const wrong = container(gateway, { leaseSeconds: 2 });
    const other = container(gateway, { leaseSeconds: 2 });
    for (const id of ["a", "b"]) await wrong.enqueue(makeJob(id), { worker: "sdxl", delaySeconds: 0.2 });
    expect(await take(wrong, 5)).toEqual([]);
    await pause(250);
    const leases = await take(wrong, 5);
    expect(leases).toHaveLength(2);
    await pause(1_200);
    expect(await wrong.renew(leases.map((lease) => ({ lease })))).toEqual(["held", "held"]);
    await pause(1_200);
    expect(await take(other, 5)).toEqual([]);
    await pause(1_000);
    expect((await take(other, 5)).map(({ attempt }) => attempt)).toEqual([2, 2]);
    for (const { queuedAtMs, takenAtMs } of leases) expect(takenAtMs - queuedAtMs).toBeLessThan(1_000);
  });
});
