import { beforeEach, describe, expect, test } from "vitest";
import { failure, makeJob, result, take, takeOne } from "#test/conformance/sources/harness.ts";
import { offerTtlSeconds } from "../job-source.ts";
import { openHarness, type UpstashHarness, type UpstashSide, useGateway } from "./testing/upstash-harness.ts";

/* Jobs that come to their end while no attempt settles them: each is reported once, by whoever takes next. */

const shared = useGateway();
let harness: UpstashHarness;

beforeEach(async () => {
  harness = await openHarness(shared.gateway, { events: false });
  return () => harness.close();
});

const enqueue = (id: string, fields: object = {}, options: object = {}) =>
  harness.queue.enqueue(makeJob(id, { user_id: "ann", ...fields }), { worker: "sdxl", ...options });
const takeAll = ({ source }: UpstashSide = harness) => source.take([{ worker: "sdxl", slots: 9 }]);
const endsOf = async (side: UpstashSide = harness) => (await takeAll(side)).ends;
/** By job: those of one millisecond come in no order. */
const sortedEnds = async () => (await endsOf()).toSorted((one, other) => one.jobId.localeCompare(other.jobId));
const endedIds = async (side: UpstashSide = harness) => (await endsOf(side)).map(({ jobId }) => jobId);
const timetable = () => shared.gateway.client().zrange("ourvidz:timetable", 0, -1);

describe("an end", () => {
  test("of a job that was cancelled while it was due, delayed or waiting for its retry", async () => {
    await enqueue("retried");
    await harness.source.retry(await takeOne(harness), { error: failure, delaySeconds: 60 });
    await enqueue("due", { prompt: "a lighthouse" });
    await enqueue("delayed", {}, { delaySeconds: 60 });
    for (const id of ["retried", "due", "delayed"]) await harness.queue.cancel(id);
    const ends = await sortedEnds();
    expect(ends).toMatchObject([
      { jobId: "delayed", run: 1, attempt: 0, status: "cancelled" },
      { jobId: "due", run: 1, attempt: 0, status: "cancelled", job: { prompt: "a lighthouse" } },
      { jobId: "retried", run: 1, attempt: 1, status: "cancelled", job: { id: "retried", user_id: "ann" } },
    ]);
    for (const end of ends) expect(end).not.toHaveProperty("error");
  });

  test("of a job whose lease ran out after its cancel was requested", async () => {
    await enqueue("a");
    await takeOne(harness);
    expect(await harness.queue.cancel("a")).toBe("requested");
    expect(await endsOf()).toEqual([]);
    await harness.hasten(harness.source.leaseSeconds * 1000 + 1);
    expect(await endsOf()).toMatchObject([{ jobId: "a", run: 1, attempt: 1, status: "cancelled" }]);
  });

  test("of a job whose lease has run out unnoticed when it is cancelled", async () => {
    await enqueue("a");
    await takeOne(harness);
    await harness.hasten(harness.source.leaseSeconds * 1000 + 1);
    expect(await harness.queue.cancel("a")).toBe("cancelled");
    expect(await endedIds()).toEqual(["a"]);
  });

  test("is not left by an attempt that settles its job", async () => {
    for (const id of ["a", "b"]) await enqueue(id);
    const [a, b] = await take(harness, 2);
    if (a === undefined || b === undefined) throw new Error("two jobs were due");
    await harness.source.complete(a, result);
    await harness.source.fail(b, failure);
    await harness.hasten(harness.source.leaseSeconds * 2000);
    expect(await endsOf()).toEqual([]);
  });

  test.each([true, false])(
    "of a cancel that a release carried out is its caller's, reported: %s",
    async (isReported) => {
      await enqueue("a");
      const lease = await takeOne(harness);
      await harness.queue.cancel("a");
      expect(await harness.source.release(lease)).toBe("cancelled");
      expect(await endsOf()).toEqual([]);
      if (isReported) await harness.source.reported([{ jobId: "a", run: 1 }]);
      await harness.hasten(harness.source.leaseSeconds * 1000 + 1);
      expect(await endedIds(await harness.second())).toEqual(isReported ? [] : ["a"]);
    },
  );

  test("is answered by one container, and by another when that one has not reported it in its lease time", async () => {
    await enqueue("a");
    await harness.queue.cancel("a");
    const other = await harness.second();
    expect(await endedIds()).toEqual(["a"]);
    expect(await endedIds(other)).toEqual([]);
    await harness.hasten(harness.source.leaseSeconds * 1000 + 1);
    expect(await endedIds(other)).toEqual(["a"]);
    await other.source.reported([{ jobId: "a", run: 1 }]);
    await other.source.reported([{ jobId: "a", run: 1 }]);
    await harness.hasten(harness.source.leaseSeconds * 1000 + 1);
    expect([...(await endsOf()), ...(await endsOf(other))]).toEqual([]);
    expect(await timetable()).toEqual([]);
  });

  test("is dropped by a redrive, and the next run has its own", async () => {
    await enqueue("a", { config: { expires_in_seconds: 60 } });
    await harness.hasten(60_001);
    await harness.queue.cancel("nobody").catch(() => undefined);
    await harness.queue.redrive("a");
    expect(await takeAll()).toMatchObject({ leases: [{ jobId: "a", run: 2, attempt: 1 }], ends: [] });
  });

  test("waits for a container that reports it while a command looks for jobs on the lists", async () => {
    await enqueue("a");
    await harness.queue.cancel("a");
    await expect(harness.queue.cancel("nobody")).rejects.toMatchObject({ code: "JOB_NOT_FOUND" });
    expect(await endedIds()).toEqual(["a"]);
  });

  test("ends a wait of a container at rest", async () => {
    const other = await harness.second({ events: true });
    await endsOf(other);
    await enqueue("a");
    const slow = harness.second({ events: true, idlePoll: { timetableMs: 60_000, withEventsMs: 60_000 } });
    const { source } = await slow;
    await source.waitForChange(20, AbortSignal.timeout(5_000), "jobs");
    await expect.poll(() => source.hearsEvents).toBe(true);
    await source.waitForChange(20, AbortSignal.timeout(5_000), "jobs");
    const woken = source.waitForChange(30_000, AbortSignal.timeout(30_000), "jobs");
    const startedAtMs = performance.now();
    await harness.queue.cancel("a");
    await woken;
    expect(performance.now() - startedAtMs).toBeLessThan(10_000);
  });

  test("of many jobs comes in parts, each once", { timeout: 30_000 }, async () => {
    const ids = Array.from({ length: 150 }, (_, place) => `job-${place}`);
    for (const id of ids) await enqueue(id);
    for (const id of ids) await harness.queue.cancel(id);
    const never = new AbortController().signal;
    const seen: string[] = [];
    for (let calls = 0; calls < 3; calls += 1) {
      if (calls > 0) await harness.source.waitForChange(60_000, never, "jobs");
      seen.push(...(await endedIds()));
    }
    expect(seen.toSorted()).toEqual(ids.toSorted());
  });
});

describe("a job with a time limit", () => {
  const limited = { config: { expires_in_seconds: 600 } };

  test.each(["enqueued", "pushed"])("that was %s expires while it waits", async (how) => {
    if (how === "enqueued") await enqueue("a", limited);
    else await shared.gateway.client().lpush("sdxl_queue", makeJob("a", limited));
    await harness.source.take([{ worker: "wan", slots: 1 }]);
    if (how === "pushed") await expect(harness.queue.cancel("nobody")).rejects.toThrow();
    await harness.hasten(540_000);
    expect(await harness.source.take([{ worker: "wan", slots: 1 }])).toEqual({ leases: [], ends: [] });
    await harness.hasten(60_001);
    const { leases, ends } = await takeAll();
    expect(leases).toEqual([]);
    expect(ends).toMatchObject([{ jobId: "a", run: 1, attempt: 0, status: "failed", error: { code: "EXPIRED" } }]);
    expect(ends[0]?.error?.message).toContain("600 s");
    expect(await harness.queue.get("a")).toMatchObject({ status: "failed", error: { code: "EXPIRED" } });
    expect(await harness.queue.stats()).toMatchObject([{ queued: 0, delayed: 0, running: 0, failed: 1 }]);
  });

  test("expires while it is delayed, and before a retry", async () => {
    await enqueue("retried", limited);
    await harness.source.retry(await takeOne(harness), { error: failure, delaySeconds: 600 });
    await enqueue("delayed", limited, { delaySeconds: 600 });
    await harness.hasten(600_001);
    expect(await sortedEnds()).toMatchObject([
      { jobId: "delayed", attempt: 0, status: "failed", error: { code: "EXPIRED" } },
      { jobId: "retried", attempt: 1, status: "failed", error: { code: "EXPIRED" } },
    ]);
    const marks = (await timetable()).map(String).filter((member) => !member.startsWith(":end:"));
    expect(marks.toSorted()).toEqual(["sdxl:delayed:expired", "sdxl:retried:expired"]);
  });

  test("is not interrupted when it runs; one that comes back after its time expires", async () => {
    // Less than a lease.
    const shorter = { config: { expires_in_seconds: 10 } };
    for (const id of ["completes", "returns", "crashes"]) await enqueue(id, shorter);
    const [completes, returns] = await take(harness, 3);
    if (completes === undefined || returns === undefined) throw new Error("the jobs were due");
    await harness.hasten(10_001);
    expect(await takeAll()).toEqual({ leases: [], ends: [] });
    expect(await harness.source.complete(completes, result)).toBe("completed");
    expect(await harness.source.release(returns)).toBe("requeued");
    expect(await takeAll()).toMatchObject({ leases: [], ends: [{ jobId: "returns", attempt: 0 }] });
    await harness.hasten(harness.source.leaseSeconds * 1000);
    expect(await takeAll()).toMatchObject({
      leases: [],
      ends: [{ jobId: "returns" }, { jobId: "crashes", attempt: 1, status: "failed", error: { code: "EXPIRED" } }],
    });
  });

  test("says what it waited for", async () => {
    await enqueue("a", { ...limited, model_variant: "lake-xl" });
    const offer = { types: ["sdxl_image_fast"], defaultModelTypes: ["sdxl_image_fast"], models: [] };
    await harness.source.take([{ worker: "sdxl", slots: 1, offer }]);
    await harness.hasten(600_001);
    const { ends } = await harness.source.take([{ worker: "sdxl", slots: 1, offer }]);
    expect(ends[0]?.error?.message).toContain("with the model lake-xl, which no container offered");
  });

  test("has its time anew in its next run", async () => {
    await enqueue("a", limited);
    await harness.hasten(600_001);
    expect(await endedIds()).toEqual(["a"]);
    await harness.queue.redrive("a");
    await harness.hasten(540_000);
    expect(await takeAll()).toMatchObject({ leases: [{ jobId: "a", run: 2 }], ends: [] });
  });

  test("leaves nothing behind when it ends in time", async () => {
    for (const id of ["a", "b"]) await enqueue(id, limited);
    await harness.source.complete(await takeOne(harness), result);
    await harness.queue.cancel("b");
    await harness.source.reported(await endsOf());
    expect(await timetable()).toEqual([]);
  });
});

describe("an offer that was announced", () => {
  const offer = { types: ["sdxl_image_fast"], defaultModelTypes: ["sdxl_image_fast"], models: ["lake-xl"] };
  const announce = () => harness.source.announce(new Map([["sdxl", offer]]));
  const need = async (id: string) => (await harness.queue.get(id))?.waitingFor;

  test("covers what it says, for as long as it is announced", async () => {
    await enqueue("plain");
    await enqueue("lake", { model_variant: "lake-xl" });
    await enqueue("hill", { model_variant: "hill-xl" });
    expect(await need("plain")).toEqual({ type: "sdxl_image_fast", model: null, served: false });
    await announce();
    expect([await need("plain"), await need("lake")]).toEqual([null, null]);
    expect(await need("hill")).toEqual({ type: "sdxl_image_fast", model: "hill-xl", served: true });
    expect(await harness.queue.stats()).toMatchObject([
      { queued: 3, unoffered: [{ type: "sdxl_image_fast", model: "hill-xl", jobs: 1 }] },
    ]);
    const { jobs } = await harness.queue.list({ limit: 9 });
    expect(jobs.filter(({ waitingFor }) => waitingFor !== null).map(({ job }) => job.id)).toEqual(["hill"]);
    await harness.hasten(offerTtlSeconds * 1000 - 60_000);
    expect(await need("plain")).toBeNull();
    await harness.hasten(60_001);
    expect(await need("plain")).toEqual({ type: "sdxl_image_fast", model: null, served: false });
    await announce();
    expect(await need("plain")).toBeNull();
    await harness.source.announce(new Map());
    expect(await need("plain")).not.toBeNull();
  });

  test("is that of any container, also for jobs that are parked", async () => {
    await enqueue("hill", { model_variant: "hill-xl" });
    await harness.source.take([{ worker: "sdxl", slots: 1, offer }]);
    const other = await harness.second();
    await announce();
    expect(await harness.queue.stats()).toMatchObject([
      { queued: 1, unoffered: [{ model: "hill-xl", jobs: 1, oldestSeconds: expect.any(Number) }] },
    ]);
    await other.source.announce(new Map([["sdxl", { ...offer, models: ["hill-xl"] }]]));
    expect(await harness.queue.stats()).toMatchObject([{ queued: 1, unoffered: [] }]);
    expect(await need("hill")).toBeNull();
  });

  test("of a container that is gone is forgotten in time", async () => {
    await announce();
    await harness.hasten(offerTtlSeconds * 1000 + 1);
    await harness.source.prune();
    expect(await shared.gateway.client().hlen("ourvidz:offers")).toBe(0);
  });
});
