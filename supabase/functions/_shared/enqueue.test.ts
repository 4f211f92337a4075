import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { badGateway, type Fault, type Faults, faultOnce } from "#gateway/faults.ts";
import { createUpstashSource, type UpstashSource } from "#runtime/sources/upstash/upstash-source.ts";
import { startTestGateway, type TestGateway, type UpstashOptions } from "#test/support/gateway.ts";
import { cancelQueuedJob } from "./cancel.ts";
import { connectQueue } from "./edge/connect-queue.ts";
import { enqueueJob, type JobToEnqueue } from "./enqueue.ts";
import type { QueueClient } from "./queue-client.ts";

let gateway: TestGateway;
let faults: Faults | undefined;
let source: UpstashSource;
let redis: QueueClient;

beforeAll(async () => {
  gateway = await startTestGateway({ faults: (request) => faults?.(request) });
});
afterAll(() => gateway.close());

beforeEach(async () => {
  faults = undefined;
  await gateway.client().flushall();
  redis = connectQueue(gateway);
  source = createUpstashSource({ url: gateway.url, token: gateway.token, workerId: "container-1" });
  return () => source.close();
});

const job: JobToEnqueue = { type: "sdxl_image_fast", prompt: "a red cube", user_id: "ann", config: { num_images: 3 } };

describe("enqueueJob", () => {
  test("puts a job where a container takes it from", async () => {
    const { jobId, queue, listed } = await enqueueJob(redis, job);
    expect([queue, listed]).toEqual(["sdxl_queue", 1]);
    const {
      leases: [lease],
    } = await source.take([{ worker: "sdxl", slots: 1 }]);
    expect(lease).toMatchObject({ jobId, attempt: 1, job: { ...job, id: jobId } });
    expect(lease?.job.created_at).toBeDefined();
  });

  test("ends a container's wait at once", async () => {
    const never = new AbortController().signal;
    const waiting = source.waitForChange(60_000, never, "jobs");
    await waitUntil(() => source.hearsEvents);
    const startedMs = performance.now();
    await enqueueJob(redis, job);
    await waiting;
    expect(performance.now() - startedMs).toBeLessThan(10_000);
  });

  test("keeps the id that it is given, and makes one job of two pushes", async () => {
    for (let push = 0; push < 2; push += 1) await enqueueJob(redis, { ...job, id: "order-1" });
    expect(await source.take([{ worker: "sdxl", slots: 9 }])).toMatchObject({ leases: [{ jobId: "order-1" }] });
  });

  test("takes a job under old names", async () => {
    const old = { jobId: "a", jobType: "wan_video_fast", type: "wan_video_fast", prompt: "a red cube", userId: "ann" };
    expect(await enqueueJob(redis, old)).toMatchObject({ jobId: "a", queue: "wan_queue" });
  });

  test("takes a job type of the deployment's own when its worker is said", async () => {
    const own = { type: "portrait", prompt: "a face" };
    expect(await enqueueJob(redis, own, { worker: "media" })).toMatchObject({ queue: "media_queue" });
    await expect(enqueueJob(redis, own)).rejects.toMatchObject({ code: "UNKNOWN_JOB_TYPE" });
  });

  test("refuses a job with every bad field named, and sends nothing", async () => {
    const bad = { ...job, prompt: " ", config: { num_images: 2, guidance_scale: "much" } };
    const refused = enqueueJob(redis, bad).catch((error: unknown) => String(error));
    for (const field of ["prompt", "config.num_images", "config.guidance_scale"])
      expect(await refused).toContain(field);
    const twice = enqueueJob(redis, { ...bad, priority: 999, user_id: "../b" }).catch((error: unknown) =>
      String(error),
    );
    for (const field of ["priority", "user_id", "config.num_images"]) expect(await twice).toContain(`${field} is`);
    await expect(enqueueJob(redis, { ...job, id: "../a" })).rejects.toMatchObject({ code: "INVALID_JOB" });
    expect(await gateway.client().llen("sdxl_queue")).toBe(0);
  });

  test.each<[string, Fault]>([
    ["is lost after it was applied", { kind: "drop", at: "after" }],
    ["never arrives", { kind: "drop", at: "before" }],
    ["is answered by a load balancer", badGateway],
  ])("tries again when the request %s, and makes one job", async (_what, fault) => {
    faults = faultOnce(fault);
    const { jobId } = await enqueueJob(redis, job);
    expect(await source.take([{ worker: "sdxl", slots: 9 }])).toMatchObject({ leases: [{ jobId }] });
  });

  test("says what is wrong with the settings or the server, and not what it was sent", async () => {
    expect(() => connectQueue({ ...gateway, url: undefined })).toThrow("UPSTASH_REDIS_REST_URL");
    expect(() => connectQueue({ ...gateway, token: "" })).toThrow("UPSTASH_REDIS_REST_TOKEN");
    const wrong = connectQueue({ ...gateway, token: "wrong" });
    await expect(enqueueJob(wrong, job)).rejects.toMatchObject({ code: "CONFIG_INVALID" });
    const nobody = connectQueue({ ...gateway, url: "http://127.0.0.1:9" });
    await expect(enqueueJob(nobody, job, { tries: 1 })).rejects.toMatchObject({ code: "QUEUE_UNREACHABLE" });
    faults = () => ({ kind: "answer", status: 400, body: '{"error":"EXECABORT because of: OOM command not allowed"}' });
    const refused = await enqueueJob(redis, job).catch((error: unknown) => error);
    expect(refused).toMatchObject({ code: "QUEUE_FULL" });
    expect(String(refused)).not.toContain("red cube");
  });

  test("gives up on a server that accepts a request and says nothing", async () => {
    // Only its answers come late: a request that is itself late would put a job on the queue of the tests that follow.
    faults = () => ({ kind: "delay", at: "after", delayMs: 1000 });
    const expiring = connectQueue({ ...gateway, timeoutMs: 100 });
    await expect(enqueueJob(expiring, job, { tries: 2 })).rejects.toMatchObject({
      code: "QUEUE_UNREACHABLE",
      message: expect.stringContaining("did not answer in time"),
    });
  });
});

/* Callers bring a client with settings of their own. */
describe.each<[string, UpstashOptions]>([
  [
    "as it is without settings",
    { retry: undefined, enableAutoPipelining: undefined, automaticDeserialization: undefined },
  ],
  ["that sends what comes together in one request", { enableAutoPipelining: true }],
  ["that reads answers itself", { automaticDeserialization: true }],
  ["that does not encode answers", { responseEncoding: false }],
])("a client %s", (_what, options) => {
  test("enqueues and cancels, and its refusals are understood", async () => {
    const own = gateway.client(options);
    const { jobId, listed } = await enqueueJob(own, { ...job, id: "brought", prompt: "a lake, command was: none" });
    expect({ jobId, listed }).toEqual({ jobId: "brought", listed: 1 });
    const known = { id: "brought", type: job.type, user_id: "ann", priority: 0, worker: "sdxl" };
    expect(await cancelQueuedJob(own, known)).toBe("cancelled");
    expect((await source.take([{ worker: "sdxl", slots: 9 }])).leases).toEqual([]);
    await gateway.client().set("sdxl_queue", "not a list");
    await expect(enqueueJob(own, job)).rejects.toMatchObject({
      code: "INTERNAL",
      message: expect.stringMatching(/refused a command: (?:EXECABORT.*)?WRONGTYPE[^{]*$/),
    });
  });
});

async function waitUntil(isTrue: () => boolean): Promise<void> {
  while (!isTrue()) await new Promise((resolve) => setTimeout(resolve, 5));
}
