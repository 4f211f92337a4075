import { describe, expect, test } from "vitest";
import { enqueue, failure, type Side, type Suite, take, takeOne } from "./harness.ts";

/** More than any source's poll; a wait that lasts this long has missed its change. */
const missedMs = 10_000;
const promptMs = 3_000;

export function describeWaiting(suite: Suite): void {
  const { cancelling, delays } = suite.capabilities;

  describe("waitForChange", () => {
    test("ends at its time when nothing changes", async () => {
      await quiet(suite.harness());
      const waitedMs = await timed(() => suite.harness().source.waitForChange(300, never));
      expect(waitedMs).toBeGreaterThan(250);
      expect(waitedMs).toBeLessThan(promptMs);
    });

    test("ends when a job is enqueued here", async () => {
      await expectWake(suite.harness(), () => enqueue(suite.harness(), "a"));
    });

    test("ends when a job is enqueued by another container", async () => {
      const other = await suite.harness().second();
      await expectWake(suite.harness(), () => enqueue(other, "a"));
    });

    test("ends when a job comes back to the queue", async () => {
      const other = await suite.harness().second();
      await enqueue(suite.harness(), "a");
      const lease = await takeOne(other);
      await expectWake(suite.harness(), () => other.source.retry(lease, { error: failure, delaySeconds: 0 }));
      const again = await takeOne(suite.harness());
      await expectWake(suite.harness(), () => suite.harness().source.release(again));
    });

    test("does not lose a change between two waits", async () => {
      await quiet(suite.harness());
      await enqueue(suite.harness(), "a");
      const waitedMs = await timed(() => suite.harness().source.waitForChange(missedMs, never));
      expect(waitedMs).toBeLessThan(promptMs);
    });

    test("does not spin on a change that was answered", async () => {
      await enqueue(await suite.harness().second(), "a");
      await quiet(suite.harness());
      expect(await timed(() => suite.harness().source.waitForChange(300, never))).toBeGreaterThan(250);
    });

    test.skipIf(!cancelling)("ends when a held lease is cancelled by another container", async () => {
      const other = await suite.harness().second();
      await enqueue(suite.harness(), "a");
      const lease = await takeOne(suite.harness());
      await expectWake(suite.harness(), () => other.queue.cancel("a"));
      expect(await suite.harness().source.renew([{ lease }])).toEqual(["cancelled"]);
    });

    test.skipIf(!delays)("ends when a delay is over", async () => {
      await enqueue(suite.harness(), "a", {}, { delaySeconds: 2 });
      await expectWake(suite.harness(), () => suite.harness().advance(2001));
      expect(await take(suite.harness())).toHaveLength(1);
    });

    test("ends when another container's lease runs out", async () => {
      const { source, advance } = suite.harness();
      await enqueue(suite.harness(), "a");
      await takeOne(await suite.harness().second());
      await expectWake(suite.harness(), () => advance(source.leaseSeconds * 1000 + 1));
      expect(await takeOne(suite.harness())).toMatchObject({ jobId: "a", attempt: 2 });
    });
  });
  describeEndOfWait(suite);
}

function describeEndOfWait(suite: Suite): void {
  describe("waitForChange ends without an error", () => {
    test("when the signal is aborted before it", async () => {
      await quiet(suite.harness());
      await suite.harness().source.waitForChange(missedMs, AbortSignal.abort());
    });

    test("when the signal is aborted during it", async () => {
      const controller = new AbortController();
      await quiet(suite.harness());
      const wait = suite.harness().source.waitForChange(missedMs, controller.signal);
      controller.abort();
      await wait;
    });

    test("when the source is closed during it, and after that", async () => {
      const { source } = await suite.harness().second();
      const wait = source.waitForChange(missedMs, never);
      await source.close();
      await wait;
      await source.waitForChange(missedMs, never);
    });

    test("whatever the time that is given", async () => {
      await quiet(suite.harness());
      await suite.harness().source.waitForChange(0, never);
      await suite.harness().source.waitForChange(-1, never);
      const controller = new AbortController();
      const wait = suite.harness().source.waitForChange(Number.MAX_SAFE_INTEGER, controller.signal);
      expect(await Promise.race([wait, Promise.resolve("still waiting")])).toBe("still waiting");
      controller.abort();
      await wait;
    });
  });
}

const never = new AbortController().signal;

/** Lets go by what the test's preparations have changed. */
async function quiet({ source }: Side): Promise<void> {
  for (let round = 0; round < 4; round += 1) await source.waitForChange(60, never);
}

async function timed(action: () => Promise<unknown>): Promise<number> {
  const startedMs = performance.now();
  await action();
  return performance.now() - startedMs;
}

/** Waits, makes the change during the wait, and checks that the wait ended soon after it. */
async function expectWake(side: Side, change: () => Promise<unknown>): Promise<void> {
  await quiet(side);
  let ended = false;
  const wait = side.source.waitForChange(missedMs, never).then(() => {
    ended = true;
  });
  await Promise.resolve();
  expect(ended).toBe(false);
  await change();
  expect(await timed(() => wait)).toBeLessThan(promptMs);
}
