import { describe, expect, test } from "vitest";
import type { ChangeKind } from "#runtime/sources/job-source.ts";
import { enqueue, failure, type Side, type Suite, take, takeEnds, takeOne } from "./harness.ts";

/** More than any source's poll; a wait that lasts this long has missed its change. */
const missedMs = 30_000;
const promptMs = 10_000;
/** Long enough for a poll to find what is there. */
const quietMs = 150;

export function describeWaiting(suite: Suite): void {
  const kinds: readonly (readonly [string, ChangeKind | undefined])[] = [
    ["jobs", "jobs"],
    ["ends", "ends"],
    ["leases", "leases"],
    ["either", undefined],
  ];
  describe.each(kinds)("waitForChange of %s", (_name, what) => {
    test("ends at its time when nothing changes", async () => {
      await expectNoWake(suite.harness(), what, async () => {});
    });

    test("ends without an error when the signal is aborted before it or during it", async () => {
      const controller = new AbortController();
      await quiet(suite.harness(), what);
      const wait = suite.harness().source.waitForChange(missedMs, controller.signal, what);
      controller.abort();
      await wait;
      await suite.harness().source.waitForChange(missedMs, controller.signal, what);
    });

    test("ends without an error when the source is closed during it, and after that", async () => {
      const { source } = await suite.harness().second();
      const wait = source.waitForChange(missedMs, never, what);
      await source.close();
      await wait;
      await source.waitForChange(missedMs, never, what);
    });

    test("takes any time to wait", async () => {
      await quiet(suite.harness(), what);
      await suite.harness().source.waitForChange(0, never, what);
      await suite.harness().source.waitForChange(-1, never, what);
      const controller = new AbortController();
      const wait = suite.harness().source.waitForChange(Number.MAX_SAFE_INTEGER, controller.signal, what);
      expect(await Promise.race([wait, pause(quietMs)])).toBe("still waiting");
      controller.abort();
      await wait;
    });
  });
  describeWaitForJobs(suite);
  describe.skipIf(!suite.capabilities.cancelling)("waitForChange of ends", () => describeWaitForEnds(suite));
  describe.skipIf(!suite.capabilities.cancelling)("waitForChange of leases", () => describeWaitForLeases(suite));
}

function describeWaitForJobs(suite: Suite): void {
  const { shared } = suite.capabilities;
  describe("waitForChange of jobs", () => {
    test("ends when a job is enqueued, here or by another container", async () => {
      const other = await suite.harness().second();
      await expectWake(suite.harness(), "jobs", () => enqueue(suite.harness(), "a"));
      await expectWake(suite.harness(), "jobs", () => enqueue(other, "b"));
      await expectWake(suite.harness(), undefined, () => enqueue(other, "c"));
    });

    test.skipIf(!shared)("ends when a job comes back to the queue", async () => {
      const other = await suite.harness().second();
      await enqueue(suite.harness(), "a");
      const lease = await takeOne(other);
      await expectWake(suite.harness(), "jobs", () => other.source.retry(lease, { error: failure, delaySeconds: 0 }));
      const again = await takeOne(suite.harness());
      await expectWake(suite.harness(), "jobs", () => suite.harness().source.release(again));
    });

    test("does not lose a change between two waits, and ends one wait for it", async () => {
      for (const side of [suite.harness(), await suite.harness().second()]) {
        await quiet(suite.harness(), "jobs");
        await enqueue(side, side === suite.harness() ? "a" : "b");
        expect(await waitedMs(suite.harness(), "jobs", missedMs)).toBeLessThan(promptMs);
        await expectNoWake(suite.harness(), "jobs", async () => {});
      }
    });

    test.skipIf(!suite.capabilities.delays)("ends when a delay is over, once", async () => {
      await enqueue(suite.harness(), "a", {}, { delaySeconds: 60 });
      await expectWake(suite.harness(), "jobs", () => suite.harness().advance(60_001));
      await expectNoWake(suite.harness(), "jobs", async () => {});
      expect(await take(suite.harness())).toHaveLength(1);
    });

    const { cancelling } = suite.capabilities;
    test.skipIf(!cancelling)("ends when there is an end to report, here or by another container", async () => {
      const other = await suite.harness().second();
      for (const [id, { queue }] of Object.entries({ a: suite.harness(), b: other })) {
        await enqueue(suite.harness(), id);
        await expectWake(suite.harness(), "jobs", () => queue.cancel(id));
        await suite.harness().source.reported(await takeEnds(suite.harness()));
      }
    });

    test.skipIf(!shared)("ends when another container's lease runs out", async () => {
      const { source, advance } = suite.harness();
      await enqueue(suite.harness(), "a");
      await takeOne(await suite.harness().second());
      await expectWake(suite.harness(), "jobs", () => advance(source.leaseSeconds * 1000 + 1));
      expect(await takeOne(suite.harness())).toMatchObject({ jobId: "a", attempt: 2 });
    });
  });
}

function describeWaitForEnds(suite: Suite): void {
  test("ends when a job that waits is cancelled, here or by another container", async () => {
    const other = await suite.harness().second();
    for (const [id, { queue }] of Object.entries({ a: suite.harness(), b: other })) {
      await enqueue(suite.harness(), id);
      await expectWake(suite.harness(), "ends", () => queue.cancel(id));
      const { ends } = await suite.harness().source.take([]);
      expect(ends).toMatchObject([{ jobId: id }]);
      await suite.harness().source.reported(ends);
    }
  });

  test("ends when a job has waited longer than it may", async () => {
    await enqueue(suite.harness(), "a", { config: { expires_in_seconds: 60 } });
    await expectWake(suite.harness(), "ends", () => suite.harness().advance(60_001));
    expect((await suite.harness().source.take([])).ends).toMatchObject([{ jobId: "a", error: { code: "EXPIRED" } }]);
  });

  test("ends when a lease runs out whose cancel was requested", async () => {
    const { source, queue, advance } = suite.harness();
    await enqueue(suite.harness(), "a");
    await takeOne(await suite.harness().second());
    await queue.cancel("a");
    await expectWake(suite.harness(), "ends", () => advance(source.leaseSeconds * 1000 + 1));
    expect((await source.take([])).ends).toMatchObject([{ jobId: "a", attempt: 1, status: "cancelled" }]);
  });

  test("is not ended by jobs that come, and hides none from who waits for them later", async () => {
    const other = await suite.harness().second();
    await quiet(suite.harness(), "jobs");
    await expectNoWake(suite.harness(), "ends", () => enqueue(other, "a"));
    expect(await waitedMs(suite.harness(), "jobs", missedMs)).toBeLessThan(promptMs);
  });
}

function describeWaitForLeases(suite: Suite): void {
  test("ends when the cancel of a held job is asked, here or by another container", async () => {
    const other = await suite.harness().second();
    for (const [id, { queue }] of Object.entries({ a: suite.harness(), b: other })) {
      await enqueue(suite.harness(), id);
      const lease = await takeOne(suite.harness());
      await expectWake(suite.harness(), "leases", () => queue.cancel(id));
      expect(await suite.harness().source.renew([{ lease }])).toEqual(["cancelled"]);
      // Told once; a handler that takes its time to stop is not asked over and over.
      await expectNoWake(suite.harness(), "leases", () => enqueue(other, `next-${id}`));
      await suite.harness().source.cancelled(lease);
      await takeOne(other);
    }
  });

  test("is not ended by what other containers do with other jobs", async () => {
    const other = await suite.harness().second();
    await enqueue(suite.harness(), "a");
    await takeOne(suite.harness());
    await expectNoWake(suite.harness(), "leases", async () => {
      await enqueue(other, "b");
      const lease = await takeOne(other);
      await other.source.renew([{ lease, progress: 0.5 }]);
      await other.queue.cancel("b");
      await other.source.cancelled(lease);
    });
  });

  test("does not miss a cancel that the loop which takes has heard of", async () => {
    const other = await suite.harness().second();
    await enqueue(suite.harness(), "a");
    await takeOne(suite.harness());
    await quiet(suite.harness(), "leases");
    await other.queue.cancel("a");
    await quiet(suite.harness(), "jobs");
    expect(await waitedMs(suite.harness(), "leases", missedMs)).toBeLessThan(promptMs);
  });
}

const never = new AbortController().signal;

function pause(ms: number): Promise<"still waiting"> {
  return new Promise((resolve) => setTimeout(() => resolve("still waiting"), ms));
}

async function waitedMs({ source }: Side, what: ChangeKind | undefined, timeoutMs: number): Promise<number> {
  const startedMs = performance.now();
  await source.waitForChange(timeoutMs, never, what);
  return performance.now() - startedMs;
}

/** Lets go by what the test's preparations have changed: until a wait lasts its whole time. */
async function quiet(side: Side, what: ChangeKind | undefined): Promise<void> {
  while ((await waitedMs(side, what, quietMs)) < quietMs - 20);
}

/** Waits, makes the change during the wait, and checks that the wait ended soon after it. */
async function expectWake(side: Side, what: ChangeKind | undefined, change: () => Promise<unknown>): Promise<void> {
  await quiet(side, what);
  const wait = side.source.waitForChange(missedMs, never, what);
  expect(await Promise.race([wait, pause(5)])).toBe("still waiting");
  const startedMs = performance.now();
  await change();
  await wait;
  expect(performance.now() - startedMs).toBeLessThan(promptMs);
}

/** Makes the change during a wait, and checks that the wait lasts its whole time all the same. */
async function expectNoWake(side: Side, what: ChangeKind | undefined, change: () => Promise<unknown>): Promise<void> {
  await quiet(side, what);
  const wait = waitedMs(side, what, 400);
  await change();
  expect(await wait).toBeGreaterThan(350);
}
