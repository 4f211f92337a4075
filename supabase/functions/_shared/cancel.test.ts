import { readFileSync } from "node:fs";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type Faults, faultOnce } from "#gateway/faults.ts";
import { createUpstashSource, type UpstashSource } from "#runtime/sources/upstash/upstash-source.ts";
import { startTestGateway, type TestGateway } from "#test/support/gateway.ts";
import { cancelScriptFile, cancelScriptModule } from "../../../tools/generate/cancel-script.ts";
import { cancelQueuedJob } from "./cancel.ts";
import { connectQueue } from "./edge/connect-queue.ts";
import { enqueueJob } from "./enqueue.ts";
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

const job = { id: "a", type: "sdxl_image_fast", prompt: "a red cube", user_id: "ann", priority: 0 };
const cancel = (id = "a") => cancelQueuedJob(redis, { ...job, id, worker: "sdxl" });
const take = async (slots = 9) => (await source.take([{ worker: "sdxl", slots }])).leases;
const statusOf = async (id: string) => (await source.get(id))?.status;

describe("cancelQueuedJob", () => {
  test("drops a job whose element nobody has taken off its list, and only that one", async () => {
    await enqueueJob(redis, job);
    await enqueueJob(redis, { ...job, id: "b" });
    expect(await cancel()).toBe("cancelled");
    expect(await take()).toMatchObject([{ jobId: "b" }]);
    expect(await statusOf("a")).toBe("cancelled");
  });

  test("drops a job that is pushed after its cancel, however often", async () => {
    expect(await cancel()).toBe("cancelled");
    for (let push = 0; push < 2; push += 1) await enqueueJob(redis, job);
    expect(await take()).toEqual([]);
    expect(await gateway.client().llen("sdxl_queue")).toBe(0);
  });

  test("takes a filed job off its queue", async () => {
    await enqueueJob(redis, job);
    await take(0);
    expect(await cancel()).toBe("cancelled");
    expect(await take()).toEqual([]);
  });

  test("has nothing to stop of a job that has been worked off and is being delivered", async () => {
    await enqueueJob(redis, job);
    const [lease] = await take();
    if (lease === undefined) throw new Error("the job was due");
    const since = new Date().toISOString();
    const note = { becomes: "completed", step: "files", since, tries: 1, error: null, next_try_at: since } as const;
    await source.noteDeliveries([{ lease, note }]);
    expect(await cancel()).toBe("delivering");
    expect(await source.renew([{ lease }])).toEqual(["held"]);
    expect(await source.get("a")).toMatchObject({ status: "running", cancelRequested: false, delivery: note });
  });

  test("is heard by the container that runs the job", async () => {
    await enqueueJob(redis, job);
    const [lease] = await take();
    if (lease === undefined) throw new Error("the job was due");
    expect(await cancel()).toBe("requested");
    expect(await cancel()).toBe("requested");
    expect(await source.renew([{ lease }])).toEqual(["cancelled"]);
    expect(await source.cancelled(lease)).toBe("cancelled");
    expect(await cancel()).toBe("cancelled");
  });

  test("tells a job that ended otherwise from one that was cancelled before", async () => {
    await enqueueJob(redis, job);
    const [lease] = await take();
    if (lease === undefined) throw new Error("the job was due");
    expect(await source.complete(lease, { assets: [], metadata: {} })).toBe("completed");
    expect(await cancel()).toBe("settled");
  });

  test("leaves a record that can be listed, and whose id stays taken", async () => {
    await cancel();
    const { jobs } = await source.list({ limit: 9 });
    expect(jobs).toMatchObject([{ job: { id: "a", user_id: "ann" }, status: "cancelled", attempts: [] }]);
    await expect(source.cancel("a")).rejects.toMatchObject({ code: "JOB_ALREADY_SETTLED" });
  });

  test("is the same cancel when its answer was lost", async () => {
    await enqueueJob(redis, job);
    await take(0);
    faults = faultOnce({ kind: "drop", at: "after" });
    expect(await cancel()).toBe("cancelled");
    faults = faultOnce({ kind: "drop", at: "after" });
    expect(await cancel("b")).toBe("cancelled");
  });

  test("says when the queue cannot be reached", async () => {
    const nobody = connectQueue({ url: "http://127.0.0.1:9", token: "any" });
    await expect(cancelQueuedJob(nobody, { ...job, worker: "sdxl" }, { tries: 1 })).rejects.toMatchObject({
      code: "QUEUE_UNREACHABLE",
    });
  });
});

test("the script is the containers' own", () => {
  expect(readFileSync(cancelScriptFile, "utf8")).toBe(cancelScriptModule());
});
