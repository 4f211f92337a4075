import { describe, expect, test } from "vitest";
import {
  enqueue,
  failure,
  fill,
  makeJob,
  result,
  type Suite,
  take,
  takeEnds,
  takenIds,
  takeOne,
  worker,
} from "./harness.ts";

/** What an operator does with jobs that wait: another priority, a queue that stands still. */
export function describeOrdering(suite: Suite): void {
  const { cancelling, delays, priorities, records, redriving } = suite.capabilities;

  describe.skipIf(!priorities)("reprioritize", () => {
    test("lets a waiting job go before or behind the others", async () => {
      const { queue } = suite.harness();
      for (const id of ["a", "b", "c", "d"]) await enqueue(suite.harness(), id);
      await queue.reprioritize("c", 5);
      await queue.reprioritize("a", -1);
      expect(await takenIds(suite.harness(), 4)).toEqual(["c", "b", "d", "a"]);
    });

    test("is seen in the job, kept over a retry, and changes nothing when it is said again", async () => {
      const { queue, source } = suite.harness();
      await enqueue(suite.harness(), "a");
      await enqueue(suite.harness(), "b");
      await queue.reprioritize("b", 7);
      await queue.reprioritize("b", 7);
      const lease = await takeOne(suite.harness());
      expect(lease.jobId).toBe("b");
      await source.retry(lease, { error: failure, delaySeconds: 0 });
      expect(await takenIds(suite.harness(), 2)).toEqual(["b", "a"]);
      if (records) expect((await queue.get("b"))?.job.priority).toBe(7);
    });

    test("of a job that is sent again with its own priority is no conflict", async () => {
      const { queue } = suite.harness();
      await enqueue(suite.harness(), "a", { priority: 3 });
      await queue.reprioritize("a", 9);
      expect(await enqueue(suite.harness(), "a", { priority: 3 })).toMatchObject({ created: false, jobId: "a" });
    });

    test.skipIf(!delays)("of a delayed job counts when it is due", async () => {
      const { queue, advance } = suite.harness();
      await enqueue(suite.harness(), "late", {}, { delaySeconds: 5 });
      await enqueue(suite.harness(), "a");
      await queue.reprioritize("late", 5);
      await advance(5_001);
      expect(await takenIds(suite.harness(), 2)).toEqual(["late", "a"]);
    });

    test("is refused for a job that does not wait, or is not there", async () => {
      const { queue, source } = suite.harness();
      await enqueue(suite.harness(), "a");
      const lease = await takeOne(suite.harness());
      await expect(queue.reprioritize("a", 5)).rejects.toMatchObject({ code: "JOB_NOT_QUEUED" });
      await source.complete(lease, result);
      await expect(queue.reprioritize("a", 5)).rejects.toMatchObject({ code: "JOB_NOT_QUEUED" });
      await expect(queue.reprioritize("nobody", 5)).rejects.toMatchObject({ code: "JOB_NOT_FOUND" });
    });
  });

  describe.skipIf(!records)("the place of a waiting job", () => {
    test("is told, and changes as others go, come before it or are cancelled", async () => {
      const { queue } = suite.harness();
      const placeOf = async (id: string) => (await queue.get(id))?.place;
      for (const id of ["a", "b", "c"]) await enqueue(suite.harness(), id);
      expect([await placeOf("a"), await placeOf("b"), await placeOf("c")]).toEqual([1, 2, 3]);
      await takeOne(suite.harness());
      expect([await placeOf("a"), await placeOf("b"), await placeOf("c")]).toEqual([null, 1, 2]);
      if (priorities) {
        await queue.reprioritize("c", 1);
        expect([await placeOf("b"), await placeOf("c")]).toEqual([2, 1]);
      }
      if (cancelling) {
        await queue.cancel("b");
        expect(await placeOf("c")).toBe(1);
      }
    });

    test("is in the list of those that go next, in the order in which they go", async () => {
      const { queue } = suite.harness();
      for (const id of ["a", "b", "c"]) await enqueue(suite.harness(), id);
      if (delays) await enqueue(suite.harness(), "late", {}, { delaySeconds: 60 });
      await enqueue(suite.harness(), "video", {}, { worker: "wan" });
      if (priorities) await queue.reprioritize("c", 1);
      const next = async (limit: number) =>
        (await queue.waiting(worker, limit)).map(({ job, place }) => [job.id, place]);
      const order = priorities ? ["c", "a", "b"] : ["a", "b", "c"];
      expect(await next(10)).toEqual(order.map((id, index) => [id, index + 1]));
      expect(await next(2)).toEqual(order.slice(0, 2).map((id, index) => [id, index + 1]));
      expect(await queue.waiting("nobody", 2)).toEqual([]);
      expect(await takenIds(suite.harness(), 9)).toEqual(order);
    });

    test("is told of the last of 5,000", async () => {
      await fill(
        suite.harness(),
        Array.from({ length: 5_000 }, (_, index) => makeJob(`job-${index}`)),
      );
      await enqueue(suite.harness(), "last");
      expect((await suite.harness().queue.get("last"))?.place).toBe(5_001);
    }, 60_000);
  });

  describe.skipIf(!suite.capabilities.waiting)("a queue that is paused", () => {
    test("keeps its jobs, in every container, while those of other queues run", async () => {
      const { queue } = suite.harness();
      const other = await suite.harness().second();
      await enqueue(suite.harness(), "a");
      await enqueue(suite.harness(), "video", {}, { worker: "wan" });
      await queue.pauseQueue(worker);
      await enqueue(suite.harness(), "b");
      expect(await take(suite.harness(), 5)).toEqual([]);
      expect(await take(other, 5)).toEqual([]);
      const { leases } = await other.source.take([
        { worker, slots: 2 },
        { worker: "wan", slots: 2 },
      ]);
      expect(leases.map(({ jobId }) => jobId)).toEqual(["video"]);
      await other.queue.resumeQueue(worker);
      expect(await takenIds(suite.harness(), 5)).toEqual(["a", "b"]);
    });

    test("keeps what runs running, and what comes back to it", async () => {
      const { queue, source } = suite.harness();
      await enqueue(suite.harness(), "a");
      await enqueue(suite.harness(), "b");
      const [first, second] = await take(suite.harness(), 2);
      if (first === undefined || second === undefined) throw new Error("two jobs were due");
      await queue.pauseQueue(worker);
      expect(await source.renew([{ lease: first }])).toEqual(["held"]);
      expect(await source.complete(first, result)).toBe("completed");
      expect(await source.release(second)).toBe("requeued");
      expect(await take(suite.harness(), 5)).toEqual([]);
      await queue.resumeQueue(worker);
      expect(await takenIds(suite.harness(), 5)).toEqual(["b"]);
    });

    test.skipIf(!cancelling)("lets its jobs be cancelled, whose ends are answered", async () => {
      const { queue } = suite.harness();
      await enqueue(suite.harness(), "a");
      await queue.pauseQueue(worker);
      expect(await queue.cancel("a")).toBe("cancelled");
      expect((await takeEnds(suite.harness())).map(({ jobId }) => jobId)).toEqual(["a"]);
    });

    test.skipIf(!records)(
      "is shown, also when nothing is in it, and since when; said twice, it is since the first time",
      async () => {
        const { queue, advance } = suite.harness();
        const pausedSince = async () =>
          (await queue.stats()).find((each) => each.queue === `${worker}_queue`)?.pausedSinceMs;
        expect((await pausedSince()) ?? null).toBeNull();
        await queue.pauseQueue(worker);
        const since = await pausedSince();
        expect(since).toEqual(expect.any(Number));
        await advance(1_000);
        await queue.pauseQueue(worker);
        await enqueue(suite.harness(), "a");
        expect(await pausedSince()).toBe(since);
        expect((await queue.get("a"))?.pausedSinceMs).toBe(since);
        expect((await queue.list({ limit: 1 })).jobs[0]?.pausedSinceMs).toBe(since);
        await queue.resumeQueue(worker);
        await queue.resumeQueue(worker);
        expect(await pausedSince()).toBeNull();
        expect((await queue.get("a"))?.pausedSinceMs).toBeNull();
      },
    );

    test("wakes whoever waits when it goes on", async () => {
      const { queue } = suite.harness();
      const other = await suite.harness().second();
      await queue.pauseQueue(worker);
      await enqueue(suite.harness(), "a");
      expect(await take(other)).toEqual([]);
      const never = new AbortController().signal;
      // What has happened before ends one wait each.
      await other.source.waitForChange(50, never, "jobs");
      expect(await take(other)).toEqual([]);
      const woken = other.source.waitForChange(60_000, never, "jobs");
      await queue.resumeQueue(worker);
      await woken;
      expect(await takenIds(other, 1)).toEqual(["a"]);
    });

    test.skipIf(!redriving)("keeps a redriven job too", async () => {
      const { queue, source } = suite.harness();
      await enqueue(suite.harness(), "a");
      await source.fail(await takeOne(suite.harness()), failure);
      await queue.pauseQueue(worker);
      await queue.redrive("a");
      expect(await take(suite.harness())).toEqual([]);
      await queue.resumeQueue(worker);
      expect(await takenIds(suite.harness(), 1)).toEqual(["a"]);
    });
  });
}
