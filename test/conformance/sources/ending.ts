import { describe, expect, test } from "vitest";
import type { Lease, UnreportedEnd } from "#runtime/sources/job-source.ts";
import {
  enqueue,
  expectStatus,
  failure,
  makeJob,
  outcomeOf,
  outliveLeases,
  type SettleCall,
  type Suite,
  settle,
  stateAfter,
  take,
  takeEnds,
  takeOne,
  worker,
} from "./harness.ts";

/** Ends that no attempt has settled, and the runs of a job. */
export function describeEnding(suite: Suite): void {
  const { redriving } = suite.capabilities;
  describe("an end that no attempt has settled", () => {
    describeCauses(suite);
    describeReporting(suite);
  });
  describe("an end that an attempt has settled", () => describeSettledByAttempt(suite));
  describe.skipIf(!redriving)("runs", () => describeRuns(suite));
}

function describeCauses(suite: Suite): void {
  const { cancelling, delays, dependencies } = suite.capabilities;

  test.skipIf(!cancelling)("is left by the cancel of a job that waits, here or elsewhere, of any worker", async () => {
    const other = await suite.harness().second();
    const job = makeJob("a", { config: { steps: 4 }, metadata: { origin: "test" } });
    await suite.harness().queue.enqueue(job, { worker: "wan" });
    await other.queue.cancel("a");
    const [end, ...more] = await takeEnds(suite.harness());
    expect(more).toEqual([]);
    expect(end).toMatchObject({ jobId: "a", job, run: 1, attempt: 0, status: "cancelled" });
    expect(end?.error).toBeUndefined();
    expect(end?.endedAtMs).toBeGreaterThan(0);
  });

  test.skipIf(!cancelling || !delays)("is left by the cancel of a delayed job", async () => {
    await enqueue(suite.harness(), "a", {}, { delaySeconds: 60 });
    await suite.harness().queue.cancel("a");
    expect(await takeEnds(suite.harness())).toMatchObject([{ jobId: "a", attempt: 0, status: "cancelled" }]);
  });

  test.skipIf(!cancelling || !delays)("is left by the cancel of a job that waits for its retry", async () => {
    const { source, queue } = suite.harness();
    await enqueue(suite.harness(), "a");
    await source.retry(await takeOne(suite.harness()), { error: failure, delaySeconds: 60 });
    expect(await queue.cancel("a")).toBe("cancelled");
    expect(await takeEnds(suite.harness())).toMatchObject([{ jobId: "a", run: 1, attempt: 1, status: "cancelled" }]);
  });

  test.skipIf(!cancelling)("is left by a lease that runs out after the cancel was requested", async () => {
    await enqueue(suite.harness(), "a");
    await takeOne(suite.harness());
    await suite.harness().queue.cancel("a");
    expect(await takeEnds(suite.harness())).toEqual([]);
    await outliveLeases(suite.harness());
    const ends = await takeEnds(await suite.harness().second());
    expect(ends).toMatchObject([{ jobId: "a", run: 1, attempt: 1, status: "cancelled" }]);
  });

  test.skipIf(!cancelling)("is left by the cancel of a job whose lease has run out", async () => {
    await enqueue(suite.harness(), "a");
    await takeOne(suite.harness());
    await outliveLeases(suite.harness());
    await suite.harness().queue.cancel("a");
    expect(await takeEnds(suite.harness())).toMatchObject([{ jobId: "a", attempt: 1, status: "cancelled" }]);
  });

  test.skipIf(!dependencies).each<SettleCall>(["fail", "cancelled"])(
    "is left for every job that depends on one that ended by %s",
    async (call) => {
      await enqueue(suite.harness(), "a");
      await enqueue(suite.harness(), "b", { depends_on: ["a"] });
      await enqueue(suite.harness(), "c", { depends_on: ["b"] });
      await settle(suite.harness().source, call, await takeOne(suite.harness()));
      const failed = { run: 1, attempt: 0, status: "failed", error: { code: "DEPENDENCY_FAILED" } };
      const ends = await takeEnds(suite.harness());
      expect(ends.toSorted(byId)).toMatchObject(["b", "c"].map((jobId) => ({ jobId, ...failed })));
    },
  );
}

function describeReporting(suite: Suite): void {
  const { cancelling } = suite.capabilities;

  test.skipIf(!cancelling)("is answered beside leases", async () => {
    for (const id of ["a", "b"]) await enqueue(suite.harness(), id);
    await suite.harness().queue.cancel("a");
    const { leases, ends } = await suite.harness().source.take([{ worker, slots: 1 }]);
    expect(leases).toMatchObject([{ jobId: "b" }]);
    expect(ends).toMatchObject([{ jobId: "a" }]);
  });

  test.skipIf(!cancelling).each([
    ["for no worker", []],
    ["for a worker without a slot", [{ worker, slots: 0, offer: { types: [], defaultModelTypes: [], models: [] } }]],
  ])("is answered to a take %s, which leaves every job where it is", async (_name, requests) => {
    for (const id of ["a", "b", "c"]) await enqueue(suite.harness(), id);
    await suite.harness().queue.cancel("b");
    const other = await suite.harness().second();
    const { leases, ends } = await other.source.take(requests);
    expect(leases).toEqual([]);
    expect(ends).toMatchObject([{ jobId: "b", run: 1, attempt: 0, status: "cancelled" }]);
    await other.source.reported(ends);
    for (const id of ["a", "c"]) await expectStatus(suite, id, "queued");
    const offer = { types: ["sdxl_image_fast"], defaultModelTypes: ["sdxl_image_fast"], models: [] };
    const taken = await suite.harness().source.take([{ worker, slots: 9, offer }]);
    expect(taken.leases.map(({ jobId, attempt }) => [jobId, attempt])).toEqual([
      ["a", 1],
      ["c", 1],
    ]);
    expect(taken.ends).toEqual([]);
  });

  test.skipIf(!suite.capabilities.shared)(
    "is looked for by a take without a slot, which gives back jobs whose lease ran out",
    async () => {
      await enqueue(suite.harness(), "a");
      await takeOne(await suite.harness().second());
      await outliveLeases(suite.harness());
      expect(await suite.harness().source.take([])).toEqual({ leases: [], ends: [] });
      expect(await takeOne(suite.harness())).toMatchObject({ jobId: "a", attempt: 2 });
    },
  );

  test.skipIf(!cancelling)("is answered to one container within one lease time", async () => {
    const other = await suite.harness().second();
    await enqueue(suite.harness(), "a");
    await suite.harness().queue.cancel("a");
    expect(await takeEnds(suite.harness())).toHaveLength(1);
    await suite.harness().advance(suite.harness().source.leaseSeconds * 500);
    for (const side of [suite.harness(), other]) expect(await takeEnds(side)).toEqual([]);
  });

  test.skipIf(!cancelling)("is answered to another one when it was not reported by then", async () => {
    await enqueue(suite.harness(), "a");
    await suite.harness().queue.cancel("a");
    const [first] = await takeEnds(suite.harness());
    await outliveLeases(suite.harness());
    expect(await takeEnds(await suite.harness().second())).toEqual([first]);
  });

  test.skipIf(!cancelling)("is never answered again when it was reported, however often", async () => {
    const other = await suite.harness().second();
    for (const id of ["a", "b"]) {
      await enqueue(suite.harness(), id);
      await suite.harness().queue.cancel(id);
    }
    const ends = await takeEnds(suite.harness());
    expect(ends).toHaveLength(2);
    await suite.harness().source.reported(ends);
    await other.source.reported(ends);
    await outliveLeases(suite.harness());
    for (const side of [suite.harness(), other]) expect(await takeEnds(side)).toEqual([]);
    await expectStatus(suite, "a", "cancelled");
  });

  test("of a job that is not there, or not at its end, can be reported, and nothing is changed", async () => {
    const { source } = suite.harness();
    await source.reported([]);
    await enqueue(suite.harness(), "a");
    await source.reported([
      { jobId: "nobody", run: 1 },
      { jobId: "a", run: 1 },
    ]);
    expect(await takeOne(suite.harness())).toMatchObject({ jobId: "a", attempt: 1 });
  });

  test.skipIf(!cancelling)("is answered to one of many that take at the same time", async () => {
    const ids = ["a", "b", "c", "d", "e", "f"];
    for (const id of ids) {
      await enqueue(suite.harness(), id);
      await suite.harness().queue.cancel(id);
    }
    const sides = [suite.harness(), await suite.harness().second()];
    const answers = await Promise.all([...sides, ...sides, ...sides].map((side) => takeEnds(side)));
    const ends: UnreportedEnd[] = answers.flat();
    expect(ends.map(({ jobId }) => jobId).toSorted()).toEqual(ids);
  });
}

function describeSettledByAttempt(suite: Suite): void {
  const { cancelling } = suite.capabilities;
  const ended = ["complete", "fail", "cancelled"] as const;

  test.each(ended)("is not left to be reported after %s", async (call) => {
    await enqueue(suite.harness(), "a");
    const lease = await takeOne(suite.harness());
    if (cancelling && call === "cancelled") await suite.harness().queue.cancel("a");
    expect(await settle(suite.harness().source, call, lease)).toBe(outcomeOf[call]);
    await expectStatus(suite, "a", stateAfter[call]);
    expect(await takeEnds(suite.harness())).toEqual([]);
    await outliveLeases(suite.harness());
    expect(await takeEnds(await suite.harness().second())).toEqual([]);
  });

  const requeuing = ["retry", "release"] as const;
  const cancelled = async (call: "retry" | "release"): Promise<Lease> => {
    await enqueue(suite.harness(), "a");
    const lease = await takeOne(suite.harness());
    await suite.harness().queue.cancel("a");
    expect(await settle(suite.harness().source, call, lease)).toBe("cancelled");
    return lease;
  };

  test.skipIf(!cancelling).each(requeuing)(
    "by a %s that found its cancel requested is left to who called, for one lease time",
    async (call) => {
      const lease = await cancelled(call);
      expect(await takeEnds(suite.harness())).toEqual([]);
      await outliveLeases(suite.harness());
      const attempt = call === "release" ? 0 : 1;
      const ends = await takeEnds(await suite.harness().second());
      expect(ends).toMatchObject([{ jobId: "a", run: lease.run, attempt, status: "cancelled" }]);
    },
  );

  test.skipIf(!cancelling).each(requeuing)("by such a %s can be reported at once", async (call) => {
    const { run } = await cancelled(call);
    await suite.harness().source.reported([{ jobId: "a", run }]);
    await outliveLeases(suite.harness());
    expect(await takeEnds(suite.harness())).toEqual([]);
  });
}

function describeRuns(suite: Suite): void {
  test("are counted by redrives; attempts begin anew with each", async () => {
    const { source, queue } = suite.harness();
    await enqueue(suite.harness(), "a");
    for (const run of [1, 2, 3]) {
      const lease = await takeOne(suite.harness());
      expect(lease).toMatchObject({ run, attempt: 1 });
      await source.retry(lease, { error: failure, delaySeconds: 0 });
      const again = await takeOne(suite.harness());
      expect(again).toMatchObject({ run, attempt: 2 });
      await source.fail(again, failure);
      await queue.redrive("a");
    }
    expect(await take(suite.harness())).toMatchObject([{ run: 4, attempt: 1 }]);
  });

  test.skipIf(!suite.capabilities.cancelling)("are told with an end", async () => {
    const { source, queue } = suite.harness();
    await enqueue(suite.harness(), "a");
    await source.fail(await takeOne(suite.harness()), failure);
    await queue.redrive("a");
    await queue.cancel("a");
    expect(await takeEnds(suite.harness())).toMatchObject([{ jobId: "a", run: 2, attempt: 0, status: "cancelled" }]);
  });
}

function byId(a: UnreportedEnd, b: UnreportedEnd): number {
  return a.jobId < b.jobId ? -1 : 1;
}
