import { createClient } from "redis";
import { afterEach, expect, test, vi } from "vitest";
import { jobEnvelope } from "#contract/job.ts";
import { createUpstashSource, type UpstashSource } from "#runtime/sources/upstash/upstash-source.ts";
import { startTestGateway, type TestGateway } from "./support/gateway.ts";

/* A server that changes under a running container: started with another configuration, without its data, or full. */

const opened: { close(): Promise<void> }[] = [];
afterEach(async () => {
  vi.useRealTimers();
  for (const each of opened.splice(0).toReversed()) await each.close();
});

/** With timers that only the test moves on. */
async function watched(persistence = false): Promise<{ gateway: TestGateway; source: UpstashSource }> {
  vi.useFakeTimers({ toFake: ["setInterval", "clearInterval"] });
  const gateway = await startTestGateway({ redis: { persistence } });
  opened.push(gateway);
  const { url, token } = gateway;
  const options = { url, token, workerId: "container", workers: ["sdxl"], tries: 1, requestTimeoutMs: 1_000 };
  const source = createUpstashSource({ ...options, events: false });
  opened.push(source);
  source.watchServer();
  await expect.poll(() => commands(source)).toEqual({ marker: 2, info: 1 });
  return { gateway, source };
}

function commands(source: UpstashSource) {
  const { marker, "server info": info } = source.usage().commandsByOperation;
  return { marker, info };
}

async function configure(gateway: TestGateway, settings: Record<string, string>): Promise<void> {
  const redis = createClient({ url: gateway.redis.url });
  await redis.connect();
  await redis.configSet(settings);
  redis.destroy();
}

const take = (source: UpstashSource) => source.take([{ worker: "sdxl", slots: 1 }]);
const evicting = { maxmemory: "3mb", "maxmemory-policy": "allkeys-lru" };
const makeJob = (id: string) => jobEnvelope.parse({ id, type: "sdxl_image_fast", prompt: "a red cube" });

async function restart({ gateway, source }: { gateway: TestGateway; source: UpstashSource }, settings = {}) {
  await gateway.redis.kill();
  await expect(take(source)).rejects.toMatchObject({ code: "QUEUE_UNREACHABLE" });
  await gateway.redis.restart(settings);
  await vi.waitFor(() => take(source), { timeout: 20_000 });
}

test("one that evicts and has no data when it is back is noticed with the first answer", async () => {
  const both = await watched();
  await restart(both, evicting);
  await expect
    .poll(() => both.source.problems)
    .toMatchObject([
      { code: "CONFIG_INVALID", message: expect.stringContaining("allkeys-lru") },
      { code: "QUEUE_DATA_LOST", sinceMs: expect.any(Number) },
    ]);
  // It is said once, for an hour; that it evicts is true until it does not.
  vi.useFakeTimers({ toFake: ["Date"], now: Date.now() + 3_600_001 });
  expect(both.source.problems).toMatchObject([{ code: "CONFIG_INVALID" }]);
}, 60_000);

test("one that is back with its data is no problem", async () => {
  const both = await watched(true);
  await restart(both);
  await expect.poll(() => commands(both.source)).toEqual({ marker: 4, info: 2 });
  expect(both.source.problems).toEqual([]);
}, 60_000);

test("one that came back between two requests, or is reconfigured, is noticed within two minutes", async () => {
  const { gateway, source } = await watched();
  await gateway.redis.restart();
  await vi.waitFor(() => gateway.client().ping(), { timeout: 20_000 });
  await configure(gateway, evicting);
  expect(source.problems).toEqual([]);
  await vi.advanceTimersByTimeAsync(120_000);
  await expect.poll(() => source.problems).toMatchObject([{ code: "CONFIG_INVALID" }, { code: "QUEUE_DATA_LOST" }]);
  await configure(gateway, { "maxmemory-policy": "noeviction" });
  await vi.advanceTimersByTimeAsync(120_000);
  await expect.poll(() => source.problems).toMatchObject([{ code: "QUEUE_DATA_LOST" }]);
}, 60_000);

test("one that is full is in trouble until something is written, whatever else it answers", async () => {
  const { gateway, source } = await watched();
  const full = { maxmemory: "1mb", "maxmemory-policy": "noeviction" };
  const fill = async (id: string) => {
    await configure(gateway, full);
    await expect(source.enqueue(makeJob(id), { worker: "sdxl" })).rejects.toMatchObject({ code: "QUEUE_FULL" });
    expect((await take(source)).leases).toEqual([]);
    expect(source.trouble).toMatchObject({ code: "QUEUE_FULL" });
  };
  await fill("a");
  await vi.advanceTimersByTimeAsync(15_000);
  await expect.poll(() => commands(source).marker).toBe(2);
  expect(source.trouble).toMatchObject({ code: "QUEUE_FULL" });
  await configure(gateway, { maxmemory: "0" });
  await vi.advanceTimersByTimeAsync(15_000);
  await expect.poll(() => source.trouble).toBeNull();
  await fill("b");
  await configure(gateway, { maxmemory: "0" });
  await source.enqueue(makeJob("b"), { worker: "sdxl" });
  expect(source.trouble).toBeNull();
}, 60_000);
