import { describe, expect, test } from "vitest";
import {
  enqueue,
  expectStatus,
  expectUnchanged,
  failure,
  makeJob,
  outcomeOf,
  outliveLeases,
  recordOf,
  result,
  type SettleCall,
  type Suite,
  settle,
  settleCalls,
  stateAfter,
  take,
  takeOne,
  worker,
} from "./harness.ts";

export function describeSettling(suite: Suite): void {
  const { shared } = suite.capabilities;
  describe.each(settleCalls)("%s", (call) => {
    test(`brings a running job to "${stateAfter[call]}"`, async () => {
      await enqueue(suite.harness(), "a");
      const lease = await takeOne(suite.harness());
      expect(await settle(suite.harness().source, call, lease)).toBe(outcomeOf[call]);
      await expectStatus(suite, "a", stateAfter[call]);
      expect(await take(suite.harness())).toHaveLength(stateAfter[call] === "queued" ? 1 : 0);
    });

    test("made twice, answers the same twice and changes nothing", async () => {
      await enqueue(suite.harness(), "a");
      const lease = await takeOne(suite.harness());
      await settle(suite.harness().source, call, lease);
      await expectUnchanged(suite, "a", async () => {
        await suite.harness().advance(10);
        const { source } = shared ? await suite.harness().second() : suite.harness();
        expect(await settle(source, call, lease)).toBe(outcomeOf[call]);
      });
    });

    test("is lost after another call has settled the lease", async () => {
      for (const earlier of settleCalls.filter((other) => !sameEnd(other, call))) {
        await enqueue(suite.harness(), earlier, {}, { worker: earlier });
        const {
          leases: [lease],
        } = await suite.harness().source.take([{ worker: earlier, slots: 1 }]);
        if (lease === undefined) throw new Error("no job was due");
        await settle(suite.harness().source, earlier, lease);
        await expectUnchanged(suite, earlier, async () => {
          expect(await settle(suite.harness().source, call, lease)).toBe("lost");
        });
      }
    });

    test.skipIf(!shared)("is lost, and changes nothing, when somebody else has taken the job", async () => {
      await enqueue(suite.harness(), "a");
      const late = await takeOne(suite.harness());
      await outliveLeases(suite.harness());
      const newer = await takeOne(await suite.harness().second());
      expect(newer).toMatchObject({ jobId: "a", attempt: 2 });
      await expectUnchanged(suite, "a", async () => {
        expect(await settle(suite.harness().source, call, late)).toBe("lost");
      });
      expect(await suite.harness().source.complete(newer, result)).toBe("completed");
    });

    test.skipIf(!shared)("is lost for a token that never was, and for a job that never was", async () => {
      await enqueue(suite.harness(), "a");
      const lease = await takeOne(suite.harness());
      await expectUnchanged(suite, "a", async () => {
        expect(await settle(suite.harness().source, call, { ...lease, token: "forged" })).toBe("lost");
        const unknown = suite.capabilities.forgets ? "unknown" : "lost";
        expect(await settle(suite.harness().source, call, { ...lease, jobId: "b" })).toBe(unknown);
      });
    });

    test("succeeds late, as long as nobody has taken the job since", async () => {
      await enqueue(suite.harness(), "a");
      const lease = await takeOne(suite.harness());
      await outliveLeases(suite.harness());
      // Another worker's take notices the lease that ran out, but does not take this job.
      await suite.harness().source.take([{ worker: "other", slots: 1 }]);
      expect(await settle(suite.harness().source, call, lease)).toBe(outcomeOf[call]);
      await expectStatus(suite, "a", stateAfter[call]);
    });
  });
  describeEffects(suite);
}

/** What each settling call leaves behind. */
function describeEffects(suite: Suite): void {
  const { records, delays } = suite.capabilities;

  describe("after settling", () => {
    test("a retried job comes back as the next attempt, with the error of the one before", async () => {
      await enqueue(suite.harness(), "a");
      await suite.harness().source.retry(await takeOne(suite.harness()), { error: failure, delaySeconds: 0 });
      expect(await takeOne(suite.harness())).toMatchObject({ jobId: "a", attempt: 2, previousError: failure });
    });

    test("a released job comes back as the same attempt", async () => {
      await enqueue(suite.harness(), "a");
      const first = await takeOne(suite.harness());
      await suite.harness().source.release(first);
      const second = await takeOne(suite.harness());
      expect(second).toMatchObject({ jobId: "a", attempt: 1 });
      expect(second.previousError).toBeUndefined();
      expect(second.token).not.toBe(first.token);
    });

    test("a released second attempt still carries the error of the first", async () => {
      await enqueue(suite.harness(), "a");
      await suite.harness().source.retry(await takeOne(suite.harness()), { error: failure, delaySeconds: 0 });
      await suite.harness().source.release(await takeOne(suite.harness()));
      expect(await takeOne(suite.harness())).toMatchObject({ attempt: 2, previousError: failure });
    });

    test.skipIf(!delays)("a job that is retried with a delay is not taken early", async () => {
      await enqueue(suite.harness(), "a");
      await suite.harness().source.retry(await takeOne(suite.harness()), { error: failure, delaySeconds: 60 });
      await suite.harness().advance(30_000);
      expect(await take(suite.harness())).toEqual([]);
      await suite.harness().advance(30_001);
      expect(await takeOne(suite.harness())).toMatchObject({ jobId: "a", attempt: 2 });
    });

    test.skipIf(!delays)("a job that is released with a delay is not taken early, and keeps its number", async () => {
      await enqueue(suite.harness(), "a");
      await enqueue(suite.harness(), "b");
      await suite.harness().source.release(await takeOne(suite.harness()), 60);
      expect(await takeOne(suite.harness())).toMatchObject({ jobId: "b" });
      expect(await take(suite.harness())).toEqual([]);
      await suite.harness().advance(60_001);
      expect(await takeOne(suite.harness())).toMatchObject({ jobId: "a", attempt: 1 });
    });

    test.skipIf(!records)("a job that was released for a reason says it until it runs again", async () => {
      await enqueue(suite.harness(), "a");
      const reason = { code: "MODEL_NOT_FOUND", message: `The model of the lake is missing. ${"m".repeat(1000)}` };
      await suite.harness().source.retry(await takeOne(suite.harness()), { error: failure, delaySeconds: 0 });
      await suite.harness().source.release(await takeOne(suite.harness()), 0, reason);
      const record = await recordOf(suite, "a");
      const kept = record?.attempts.at(-1)?.reason;
      expect(record).toMatchObject({ status: "queued", attempt: 1, error: failure });
      expect(kept?.code).toBe("MODEL_NOT_FOUND");
      expect(kept?.message).toMatch(/^The model of the lake is missing\. m+…$/);
      expect(kept?.message).toHaveLength(300);
      // Why the attempt before was given back is not why the next one failed.
      const again = await takeOne(suite.harness());
      expect(again).toMatchObject({ attempt: 2, previousError: failure });
      await suite.harness().source.release(again);
      expect((await recordOf(suite, "a"))?.attempts.at(-1)).toMatchObject({ outcome: "released", reason: null });
    });

    test.skipIf(!records)("a completed job keeps its result and its attempts", async () => {
      const job = makeJob("a");
      await suite.harness().queue.enqueue(job, { worker });
      await suite.harness().source.retry(await takeOne(suite.harness()), { error: failure, delaySeconds: 0 });
      await suite.harness().source.complete(await takeOne(suite.harness()), result);
      const record = await recordOf(suite, "a");
      expect(record).toMatchObject({ job, worker, status: "completed", attempt: 2, result, error: null, progress: 1 });
      expect(record?.attempts).toMatchObject([
        { attempt: 1, outcome: "retried", error: failure },
        { attempt: 2, outcome: "completed", error: null },
      ]);
      expect(record?.settledAtMs).toBe(record?.attempts[1]?.endedAtMs);
    });

    test.skipIf(!records)("a completed job keeps the paths of its files, and no file is read for that", async () => {
      const untouched = () => Promise.reject(new Error("the file was read"));
      await enqueue(suite.harness(), "a");
      const lease = await takeOne(suite.harness());
      await suite.harness().source.complete(lease, result, { address: untouched, read: untouched });
      expect((await recordOf(suite, "a"))?.result?.assets).toEqual(result.assets);
    });

    test.skipIf(!records)("a failed job keeps its error", async () => {
      await enqueue(suite.harness(), "a");
      await suite.harness().source.fail(await takeOne(suite.harness()), failure);
      expect(await recordOf(suite, "a")).toMatchObject({
        status: "failed",
        error: failure,
        result: null,
        attempts: [{ attempt: 1, outcome: "failed", error: failure }],
      });
    });
  });
}

/** `retry` and `release` of a job whose cancel was asked end it as `cancelled` does, so these three know each other. */
function sameEnd(earlier: SettleCall, later: SettleCall): boolean {
  return earlier === later || (earlier === "cancelled" && (later === "retry" || later === "release"));
}
