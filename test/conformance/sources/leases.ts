import { describe, expect, test } from "vitest";
import {
  enqueue,
  expectStatus,
  expectUnchanged,
  failure,
  outliveLeases,
  recordOf,
  result,
  type Suite,
  take,
  takeOne,
} from "./harness.ts";

export function describeLeases(suite: Suite): void {
  const { shared } = suite.capabilities;
  describe("renew", () => {
    test("keeps a lease beyond its time", async () => {
      const { source, advance } = suite.harness();
      await enqueue(suite.harness(), "a");
      const lease = await takeOne(suite.harness());
      for (let round = 0; round < 3; round += 1) {
        await advance(source.leaseSeconds * 600);
        expect(await source.renew([{ lease }])).toEqual(["held"]);
        expect(await take(await suite.harness().second())).toEqual([]);
      }
      expect(await source.complete(lease, result)).toBe("completed");
    });

    test("answers many at once, in order", async () => {
      const { source } = suite.harness();
      expect(await source.renew([])).toEqual([]);
      for (const id of ["a", "b", "c"]) await enqueue(suite.harness(), id);
      const leases = await take(suite.harness(), 3);
      const [, second] = leases;
      if (second === undefined) throw new Error("three jobs were due");
      await source.complete(second, result);
      const renewals = leases.map((lease) => ({ lease, progress: 0.5 }));
      expect(await source.renew(renewals)).toEqual(["held", "lost", "held"]);
    });

    test("carries progress, and keeps the last one when none is given", async () => {
      const { source } = suite.harness();
      await enqueue(suite.harness(), "a");
      const lease = await takeOne(suite.harness());
      await source.renew([{ lease, progress: 0.25 }]);
      await source.renew([{ lease }]);
      const record = await recordOf(suite, "a");
      if (record !== undefined) expect(record.progress).toBe(0.25);
    });

    test("brings a lease back that ran out, as long as nobody has taken the job since", async () => {
      const { source } = suite.harness();
      await enqueue(suite.harness(), "a");
      const lease = await takeOne(suite.harness());
      await outliveLeases(suite.harness());
      await source.take([{ worker: "other", slots: 1 }]);
      expect(await source.renew([{ lease }])).toEqual(["held"]);
      expect(await take(await suite.harness().second())).toEqual([]);
      const record = await recordOf(suite, "a");
      if (record !== undefined) {
        expect(record).toMatchObject({ status: "running", attempt: 1, error: null });
        expect(record.attempts).toMatchObject([{ attempt: 1, outcome: "running", error: null }]);
      }
    });

    test.skipIf(!shared)("tells a job that never was from one that somebody else has", async () => {
      const { source } = suite.harness();
      await enqueue(suite.harness(), "a");
      const lease = await takeOne(suite.harness());
      const renewals = [{ lease }, { lease: { ...lease, jobId: "b" } }, { lease: { ...lease, token: "forged" } }];
      expect(await source.renew(renewals)).toEqual(["held", suite.capabilities.forgets ? "unknown" : "lost", "lost"]);
    });

    test.skipIf(!shared)("is lost when somebody else has the job, and changes nothing", async () => {
      await enqueue(suite.harness(), "a");
      const lease = await takeOne(suite.harness());
      await outliveLeases(suite.harness());
      await takeOne(await suite.harness().second());
      await expectUnchanged(suite, "a", async () => {
        expect(await suite.harness().source.renew([{ lease, progress: 0.9 }])).toEqual(["lost"]);
      });
    });
  });
  describeExpiry(suite);
}

function describeExpiry(suite: Suite): void {
  const { shared } = suite.capabilities;
  describe("a lease that ran out", () => {
    test("is not taken before its time", async () => {
      const { source, advance } = suite.harness();
      await enqueue(suite.harness(), "a");
      await takeOne(suite.harness());
      await advance(source.leaseSeconds * 500);
      expect(await take(await suite.harness().second())).toEqual([]);
    });

    test.skipIf(!shared)("gives its job to another container, the attempt charged and the reason told", async () => {
      await enqueue(suite.harness(), "a");
      await takeOne(suite.harness());
      await outliveLeases(suite.harness());
      const lease = await takeOne(await suite.harness().second());
      expect(lease).toMatchObject({ jobId: "a", attempt: 2, previousError: { code: "LEASE_EXPIRED" } });
      const record = await recordOf(suite, "a");
      if (record === undefined) return;
      expect(record.attempts).toMatchObject([
        { attempt: 1, outcome: "expired", error: { code: "LEASE_EXPIRED" } },
        { attempt: 2, outcome: "running", error: null },
      ]);
      expect(new Set(record.attempts.map((attempt) => attempt.workerId)).size).toBe(2);
    });

    test.skipIf(!shared)("charges every attempt of a job that kills its containers", async () => {
      await enqueue(suite.harness(), "a");
      const attempts: number[] = [];
      for (let crash = 0; crash < 4; crash += 1) {
        attempts.push((await takeOne(suite.harness())).attempt);
        await outliveLeases(suite.harness());
      }
      expect(attempts).toEqual([1, 2, 3, 4]);
    });

    test("does not undo a job that was settled in time", async () => {
      await enqueue(suite.harness(), "a");
      await suite.harness().source.fail(await takeOne(suite.harness()), failure);
      await outliveLeases(suite.harness());
      expect(await take(suite.harness())).toEqual([]);
      await expectStatus(suite, "a", "failed");
    });
  });
}
