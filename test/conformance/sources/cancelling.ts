import { describe, expect, test } from "vitest";
import { redriveMatching } from "#runtime/sources/change-many.ts";
import { JobQueues } from "#runtime/sources/job-queues.ts";
import type { JobQueue } from "#runtime/sources/job-source.ts";
import {
  enqueue,
  expectStatus,
  failure,
  outcomeOf,
  outliveLeases,
  recordOf,
  type SettleCall,
  type Suite,
  settle,
  settleCalls,
  stateAfter,
  take,
  takeOne,
} from "./harness.ts";

export function describeCancelling(suite: Suite): void {
  const { cancelling, redriving, records } = suite.capabilities;
  describe.skipIf(!cancelling)("cancel of a waiting job", () => describeWaitingJob(suite));
  describe.skipIf(!cancelling)("cancel of a running job", () => describeRunningJob(suite));
  describe.skipIf(!redriving)("redrive", () => describeRedriving(suite));
  describe.skipIf(!redriving || !records)("redrive of all", () => describeRedrivingAll(suite));
}

function describeWaitingJob(suite: Suite): void {
  test("settles it at once", async () => {
    await enqueue(suite.harness(), "a");
    expect(await suite.harness().queue.cancel("a")).toBe("cancelled");
    expect(await take(suite.harness())).toEqual([]);
    await expectStatus(suite, "a", "cancelled");
  });

  test.skipIf(!suite.capabilities.delays)("settles it at once while a delay runs", async () => {
    await enqueue(suite.harness(), "a", {}, { delaySeconds: 60 });
    expect(await suite.harness().queue.cancel("a")).toBe("cancelled");
    await suite.harness().advance(60_001);
    expect(await take(suite.harness())).toEqual([]);
  });
}

function describeRunningJob(suite: Suite): void {
  test("asks for its end, however often it is said", async () => {
    const { queue } = await suite.harness().second();
    await enqueue(suite.harness(), "a");
    const lease = await takeOne(suite.harness());
    expect(await queue.cancel("a")).toBe("requested");
    expect(await queue.cancel("a")).toBe("requested");
    expect(await recordOf(suite, "a")).toMatchObject({ status: "running", cancelRequested: true });
    expect(await suite.harness().source.renew([{ lease }, { lease }])).toEqual(["cancelled", "cancelled"]);
    expect(await suite.harness().source.cancelled(lease)).toBe("cancelled");
    await expectStatus(suite, "a", "cancelled");
  });

  test.each(["retry", "release"] as const)("makes %s end the job, said twice too", async (call) => {
    const { source, queue } = suite.harness();
    await enqueue(suite.harness(), "a");
    const lease = await takeOne(suite.harness());
    await queue.cancel("a");
    for (let calls = 0; calls < 2; calls += 1) expect(await settle(source, call, lease)).toBe("cancelled");
    expect(await take(suite.harness())).toEqual([]);
    const record = await recordOf(suite, "a");
    const attempt = call === "release" ? 0 : 1;
    if (record !== undefined) expect(record).toMatchObject({ status: "cancelled", error: null, attempt });
  });

  test.each(["complete", "fail"] as const)("does not undo a job that ends by %s all the same", async (call) => {
    await enqueue(suite.harness(), "a");
    const lease = await takeOne(suite.harness());
    await suite.harness().queue.cancel("a");
    expect(await settle(suite.harness().source, call, lease)).toBe(outcomeOf[call]);
    await expectStatus(suite, "a", stateAfter[call]);
  });

  test("ends a job whose container is gone", async () => {
    await enqueue(suite.harness(), "a");
    const lease = await takeOne(suite.harness());
    await suite.harness().queue.cancel("a");
    await outliveLeases(suite.harness());
    expect(await take(await suite.harness().second())).toEqual([]);
    await expectStatus(suite, "a", "cancelled");
    expect(await suite.harness().source.renew([{ lease }])).toEqual(["lost"]);
    expect(await settle(suite.harness().source, "complete", lease)).toBe("lost");
  });

  test("fences a late worker of a job that waits again", async () => {
    await enqueue(suite.harness(), "a");
    const lease = await takeOne(suite.harness());
    await outliveLeases(suite.harness());
    expect(await suite.harness().queue.cancel("a")).toBe("cancelled");
    expect(await settle(suite.harness().source, "complete", lease)).toBe("lost");
    await expectStatus(suite, "a", "cancelled");
  });

  test("is refused for a job that is not there, or settled", async () => {
    const { queue } = suite.harness();
    await expect(queue.cancel("nobody")).rejects.toMatchObject({ code: "JOB_NOT_FOUND" });
    for (const call of settleCalls.filter((each) => stateAfter[each] !== "queued")) {
      await enqueue(suite.harness(), call);
      await settle(suite.harness().source, call, await takeOne(suite.harness()));
      await expect(queue.cancel(call)).rejects.toMatchObject({ code: "JOB_ALREADY_SETTLED" });
      await expectStatus(suite, call, stateAfter[call]);
    }
  });
}

function describeRedriving(suite: Suite): void {
  test("brings a failed job back with its attempts forgotten", async () => {
    const { source, queue } = suite.harness();
    await enqueue(suite.harness(), "a");
    await source.retry(await takeOne(suite.harness()), { error: failure, delaySeconds: 0 });
    const failed = await takeOne(suite.harness());
    await source.fail(failed, failure);
    await queue.redrive("a");
    const record = await recordOf(suite, "a");
    if (record !== undefined) {
      expect(record).toMatchObject({ status: "queued", attempt: 0, error: null, settledAtMs: null, startedAtMs: null });
      expect(record.attempts).toEqual([]);
    }
    expect(await source.complete(failed, { assets: [], metadata: {} })).toBe("lost");
    const lease = await takeOne(suite.harness());
    expect(lease.attempt).toBe(1);
    expect(lease.previousError).toBeUndefined();
  });

  test.skipIf(!suite.capabilities.cancelling)("forgets a cancel that was asked", async () => {
    const { source, queue } = suite.harness();
    await enqueue(suite.harness(), "a");
    const failed = await takeOne(suite.harness());
    await queue.cancel("a");
    await source.fail(failed, failure);
    await queue.redrive("a");
    const lease = await takeOne(suite.harness());
    expect(await source.renew([{ lease }])).toEqual(["held"]);
    await source.retry(lease, { error: failure, delaySeconds: 0 });
    await expectStatus(suite, "a", "queued");
  });

  test("is refused for a job that is not there, or did not fail", async () => {
    const { source, queue } = suite.harness();
    await expect(queue.redrive("nobody")).rejects.toMatchObject({ code: "JOB_NOT_FOUND" });
    await enqueue(suite.harness(), "a");
    const refused = () => expect(queue.redrive("a")).rejects.toMatchObject({ code: "JOB_NOT_FAILED" });
    await refused();
    const lease = await takeOne(suite.harness());
    await refused();
    const call: SettleCall = "complete";
    await settle(source, call, lease);
    await refused();
    await expectStatus(suite, "a", stateAfter[call]);
  });
}

function describeRedrivingAll(suite: Suite): void {
  const redriveAll = (queue: JobQueue, { limit = 9, force = false } = {}) =>
    redriveMatching(new JobQueues(new Map([["tested", queue]])), {
      filter: { statuses: ["failed"], worker: "sdxl" },
      limit,
      force,
      signal: new AbortController().signal,
    });

  test("takes the failed jobs of one worker, and no others", async () => {
    const { source, queue } = suite.harness();
    for (const id of ["a", "b", "c", "d"]) await enqueue(suite.harness(), id);
    await enqueue(suite.harness(), "video", {}, { worker: "wan" });
    const { leases } = await source.take([
      { worker: "sdxl", slots: 3 },
      { worker: "wan", slots: 1 },
    ]);
    for (const lease of leases) await source.fail(lease, failure);
    const first = await redriveAll(queue, { limit: 2 });
    expect(first).toMatchObject({ matched: 2, changed: { redriven: 2 }, left: [] });
    expect(first.cursor).not.toBeNull();
    expect((await queue.list({ status: "failed", limit: 9 })).jobs.map(({ job }) => job.id)).toEqual(["video", "a"]);
    expect(await redriveAll(queue)).toMatchObject({ matched: 1, changed: { redriven: 1 }, cursor: null });
    expect((await take(suite.harness(), 9)).map(({ jobId }) => jobId).toSorted()).toEqual(["a", "b", "c", "d"]);
    await expectStatus(suite, "video", "failed");
  });

  test("leaves what would fail again, unless it is forced", async () => {
    const { source, queue } = suite.harness();
    for (const id of ["a", "b", "c"]) await enqueue(suite.harness(), id);
    const [one, two, three] = await take(suite.harness(), 3);
    if (one === undefined || two === undefined || three === undefined) throw new Error("three jobs are due");
    await source.fail(one, failure);
    await source.fail(two, { ...failure, permanent: true });
    await source.fail(three, { code: "INVALID_JOB", message: "config.steps must be at most 150" });
    const left = [{ code: "JOB_NOT_RETRYABLE", jobs: 2 }];
    expect(await redriveAll(queue)).toMatchObject({ matched: 3, changed: { redriven: 1 }, left });
    expect((await queue.list({ status: "failed", limit: 9 })).jobs).toHaveLength(2);
    expect(await redriveAll(queue, { force: true })).toMatchObject({ changed: { redriven: 2 }, left: [] });
  });

  test("by two containers at once redrives each job once", async () => {
    const { source, queue } = suite.harness();
    const ids = ["a", "b", "c", "d", "e", "f"];
    for (const id of ids) await enqueue(suite.harness(), id);
    for (const lease of await take(suite.harness(), 9)) await source.fail(lease, failure);
    const other = await suite.harness().second();
    const outcomes = await Promise.all([redriveAll(queue), redriveAll(other.queue)]);
    expect(outcomes.reduce((sum, { changed }) => sum + (changed.redriven ?? 0), 0)).toBe(ids.length);
    expect(await take(suite.harness(), 9)).toHaveLength(ids.length);
  });
}
