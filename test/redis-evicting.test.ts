import { once } from "node:events";
import { connect } from "node:net";
import { afterAll, beforeAll, expect, it } from "vitest";
import { createApp } from "#functions/index.ts";
import { createLogger } from "#runtime/observe/log.ts";
import { probeUpstash } from "#runtime/sources/upstash/probe.ts";
import { createUpstashSource, type UpstashSource } from "#runtime/sources/upstash/upstash-source.ts";
import { startTestGateway, type TestGateway } from "./support/gateway.ts";
import { startTestRuntime, type TestRuntime } from "./support/runtime.ts";

/* A Redis that evicts: containers say so, and jobs that it has taken off their queues are put back. */
let gateway: TestGateway;
let container: TestRuntime;

beforeAll(async () => {
  gateway = await startTestGateway();
  await redis("CONFIG SET maxmemory 200mb");
  await redis("CONFIG SET maxmemory-policy allkeys-lru");
  container = await startTestRuntime({
    UPSTASH_REDIS_REST_URL: gateway.url,
    UPSTASH_REDIS_REST_TOKEN: gateway.token,
  });
});

afterAll(async () => {
  await container.stop();
  await container.remove();
  await gateway.close();
});

/** Straight to the server, as its administrator. */
async function redis(command: string): Promise<string> {
  const socket = connect(gateway.redis.port, "127.0.0.1");
  socket.write(`${command}\r\n`);
  const [answer] = await once(socket, "data");
  socket.destroy();
  return String(answer);
}

async function get(path: string): Promise<unknown> {
  const app = createApp(container, await createLogger({ level: "silent", format: "json" }));
  return (await app.request(path, { headers: { Host: "127.0.0.1" } })).json();
}

function source(): UpstashSource {
  return createUpstashSource({ url: gateway.url, token: gateway.token, workerId: "other", workers: ["test"] });
}

it("is said by /health, in full by /worker/status and by validate, though not by /ready", async () => {
  await expect
    .poll(() => get("/health"))
    .toMatchObject({
      status: "degraded",
      problems: [{ part: "source", subject: "upstash", code: "CONFIG_INVALID", since: expect.any(String) }],
    });
  expect(await get("/worker/status")).toMatchObject({
    problems: [{ message: expect.stringMatching(/maxmemory-policy allkeys-lru.*noeviction/) }],
  });
  await expect.poll(() => get("/ready"), { timeout: 20_000 }).toMatchObject({ ready: true });
  const address = { url: gateway.url, token: gateway.token, prefix: "ourvidz" };
  await expect(probeUpstash(address)).rejects.toThrow(/allkeys-lru/);
  await redis("CONFIG SET maxmemory-policy volatile-lru");
  expect(await probeUpstash(address)).toMatch(/runs scripts/);
});

it("loses no job whose queue is evicted: a sweep puts it back, once", async () => {
  container.dispatcher.pause();
  const ids = await Promise.all(Array.from({ length: 30 }, () => container.submit("noop")));
  await gateway.client().del("ourvidz:ready:test");
  const other = source();
  expect(await other.repair(90)).toBe(30);
  expect(await other.repair(90)).toBe(0);
  await other.close();
  container.dispatcher.resume();
  for (const id of ids) expect(await container.ended(id)).toMatchObject({ status: "completed", attempt: 1 });
});

it("brings back a running job whose lease is evicted, when its container is gone as well", async () => {
  container.dispatcher.pause();
  const id = await container.submit("noop");
  const dead = source();
  expect(await dead.take([{ worker: "test", slots: 1 }])).toMatchObject({ leases: [{ jobId: id }] });
  await dead.close();
  await gateway.client().del("ourvidz:timetable");
  const other = source();
  expect(await other.repair(0.2)).toBe(1);
  await other.close();
  container.dispatcher.resume();
  await expect.poll(async () => (await container.queue.get(id))?.status, { timeout: 30_000 }).toBe("completed");
  expect(await container.queue.get(id)).toMatchObject({ attempt: 2 });
});
