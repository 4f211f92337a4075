import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { badGateway, type Fault, type Faults, faultOnce } from "#gateway/faults.ts";
import { createUpstashSource, type UpstashSource } from "#runtime/sources/upstash/upstash-source.ts";
import { startTestGateway, type TestGateway } from "#test/support/gateway.ts";
import { type EnqueueTarget, enqueueJob, type NewJob } from "./enqueue.ts";

let gateway: TestGateway;
let faults: Faults | undefined;
let source: UpstashSource;
let target: EnqueueTarget;

beforeAll(async () => {
  gateway = await startTestGateway({ faults: (request) => faults?.(request) });
});
afterAll(() => gateway.close());

beforeEach(async () => {
  faults = undefined;
  await gateway.client().flushall();
  target = { url: gateway.url, token: gateway.token };
  source = createUpstashSource({ url: gateway.url, token: gateway.token, workerId: "container-1" });
  return () => source.close();
});

const job: NewJob = { type: "sdxl_image_fast", prompt: "a red cube", user_id: "ann", config: { num_images: 3 } };

describe("enqueueJob", () => {
  test("puts a job where a container takes it from", async () => {
    const { jobId, queue, listed } = await enqueueJob(job, target);
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
    await enqueueJob(job, target);
    await waiting;
    expect(performance.now() - startedMs).toBeLessThan(500);
  });

  test("keeps the id that it is given, and makes one job of two pushes", async () => {
    for (let push = 0; push < 2; push += 1) await enqueueJob({ ...job, id: "order-1" }, target);
    expect(await source.take([{ worker: "sdxl", slots: 9 }])).toMatchObject({ leases: [{ jobId: "order-1" }] });
  });

  test("takes a job under old names", async () => {
    const old = { jobId: "a", jobType: "wan_video_fast", type: "wan_video_fast", prompt: "a red cube", userId: "ann" };
    expect(await enqueueJob(old, target)).toMatchObject({ jobId: "a", queue: "wan_queue" });
  });

  test("takes a job type of the deployment's own when its worker is said", async () => {
    const own = { type: "portrait", prompt: "a face" };
    expect(await enqueueJob(own, { ...target, worker: "media" })).toMatchObject({ queue: "media_queue" });
    await expect(enqueueJob(own, target)).rejects.toMatchObject({ code: "UNKNOWN_JOB_TYPE" });
  });

  test("refuses a job with every bad field named, and sends nothing", async () => {
    const bad = { ...job, prompt: " ", config: { num_images: 2, guidance_scale: "much" } };
    const refused = enqueueJob(bad, target).catch((error: unknown) => String(error));
    for (const field of ["prompt", "config.num_images", "config.guidance_scale"])
      expect(await refused).toContain(field);
    const twice = enqueueJob({ ...bad, priority: 999, user_id: "../b" }, target).catch((error: unknown) =>
      String(error),
    );
    for (const field of ["priority", "user_id", "config.num_images"]) expect(await twice).toContain(`${field} is`);
    await expect(enqueueJob({ ...job, id: "../a" }, target)).rejects.toMatchObject({ code: "INVALID_JOB" });
    expect(await gateway.client().llen("sdxl_queue")).toBe(0);
  });

  test.each<[string, Fault]>([
    ["is lost after it was applied", { kind: "drop", at: "after" }],
    ["never arrives", { kind: "drop", at: "before" }],
    ["is answered by a load balancer", badGateway],
  ])("tries again when the request %s, and makes one job", async (_what, fault) => {
    faults = faultOnce(fault);
    const { jobId } = await enqueueJob(job, target);
    expect(await source.take([{ worker: "sdxl", slots: 9 }])).toMatchObject({ leases: [{ jobId }] });
  });

  test("says what is wrong with the settings or the server", async () => {
    await expect(enqueueJob(job, { ...target, url: undefined })).rejects.toThrow("UPSTASH_REDIS_REST_URL");
    await expect(enqueueJob(job, { ...target, token: "" })).rejects.toThrow("UPSTASH_REDIS_REST_TOKEN");
    await expect(enqueueJob(job, { ...target, token: "wrong" })).rejects.toMatchObject({ code: "CONFIG_INVALID" });
    const nobody = { ...target, url: "http://127.0.0.1:9", tries: 1 };
    await expect(enqueueJob(job, nobody)).rejects.toMatchObject({ code: "QUEUE_UNREACHABLE" });
    faults = () => ({ kind: "answer", status: 400, body: '{"error":"EXECABORT because of: OOM command not allowed"}' });
    await expect(enqueueJob(job, target)).rejects.toMatchObject({ code: "QUEUE_FULL" });
  });
});

async function waitUntil(isTrue: () => boolean): Promise<void> {
  while (!isTrue()) await new Promise((resolve) => setTimeout(resolve, 5));
}
