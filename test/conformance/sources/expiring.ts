import { describe, expect, test } from "vitest";
import { enqueue, expectStatus, failure, recordOf, result, type Suite, take, takeEnds, takeOne } from "./harness.ts";

const config = { expires_in_seconds: 20 };
const isOverMs = 20_001;
const expired = {
  code: "EXPIRED",
  message: expect.stringMatching(/^The job waited longer than its own limit of 20 s \(config\.expires_in_seconds\)\./),
};

/** `config.expires_in_seconds`; the source's leases last longer than that. */
export function describeExpiring(suite: Suite): void {
  describe.skipIf(!suite.capabilities.waiting)("a job with a time limit of its own", () => {
    describeWaitingJob(suite);
    describeRunningJob(suite);
  });
}

function describeWaitingJob(suite: Suite): void {
  const { delays, dependencies } = suite.capabilities;

  async function expectExpired(id: string, attempt: number): Promise<void> {
    const { leases, ends } = await suite.harness().source.take([{ worker: "sdxl", slots: 5 }]);
    expect(leases).toEqual([]);
    expect(ends).toMatchObject([{ jobId: id, run: 1, attempt, status: "failed", error: expired }]);
    const record = await recordOf(suite, id);
    if (record !== undefined) expect(record).toMatchObject({ status: "failed", error: expired, attempt });
  }

  test("fails when it waits longer, with an end to be reported", async () => {
    await enqueue(suite.harness(), "a", { config });
    await enqueue(suite.harness(), "later", { config: { expires_in_seconds: 3000 } });
    await suite.harness().advance(isOverMs);
    expect(await takeEnds(suite.harness())).toMatchObject([
      { jobId: "a", run: 1, attempt: 0, status: "failed", error: expired },
    ]);
    await expectStatus(suite, "a", "failed");
    expect(await take(suite.harness(), 5)).toMatchObject([{ jobId: "later" }]);
  });

  const offer = { types: ["sdxl_image_fast"], defaultModelTypes: ["sdxl_image_fast"], models: [] };

  test("says what it waited for when no container offered it", async () => {
    await enqueue(suite.harness(), "a", { config, model_variant: "base" });
    expect((await suite.harness().source.take([{ worker: "sdxl", slots: 1, offer }])).leases).toEqual([]);
    await suite.harness().advance(isOverMs);
    const [end] = await takeEnds(suite.harness());
    expect(end?.error?.message).toMatch(
      /the job type sdxl_image_fast with the model base, which no container offered\.$/,
    );
  });

  test("does not say so when one did", async () => {
    await suite.harness().source.announce?.(new Map([["sdxl", offer]]));
    await enqueue(suite.harness(), "a", { config });
    await suite.harness().advance(isOverMs);
    const [end] = await takeEnds(suite.harness());
    expect(end?.error?.message).not.toContain("offered");
  });

  test.skipIf(!suite.capabilities.records)("fails at a moment of its own, also when it is redriven later", async () => {
    await enqueue(suite.harness(), "first");
    const nowMs = (await recordOf(suite, "first"))?.createdAtMs ?? 0;
    await takeOne(suite.harness());
    const expires_at = new Date(nowMs + 20_000).toISOString();
    await enqueue(suite.harness(), "a", { config: { expires_at, expires_in_seconds: 3000 } });
    await enqueue(suite.harness(), "later", { config: { expires_at: new Date(nowMs + 3_000_000).toISOString() } });
    await enqueue(suite.harness(), "over", { config: { expires_at: new Date(nowMs - 1).toISOString() } });
    const late = { code: "EXPIRED", message: expect.stringContaining("own moment had come (config.expires_at).") };
    expect(await takeEnds(suite.harness())).toMatchObject([{ jobId: "over", attempt: 0, error: late }]);
    await suite.harness().advance(isOverMs);
    expect(await takeEnds(suite.harness())).toMatchObject([{ jobId: "a", run: 1, attempt: 0, error: late }]);
    await expectStatus(suite, "a", "failed");
    if (suite.capabilities.redriving) {
      await suite.harness().queue.redrive("a");
      expect(await takeEnds(suite.harness())).toMatchObject([{ jobId: "a", run: 2, attempt: 0, error: late }]);
    }
    expect(await take(suite.harness(), 5)).toMatchObject([{ jobId: "later" }]);
  });

  test("is taken before its time is over", async () => {
    await enqueue(suite.harness(), "a", { config });
    await suite.harness().advance(15_000);
    expect(await takeOne(suite.harness())).toMatchObject({ jobId: "a" });
  });

  test.skipIf(!delays)("fails while it is delayed", async () => {
    await enqueue(suite.harness(), "a", { config }, { delaySeconds: 25 });
    await suite.harness().advance(isOverMs);
    await expectExpired("a", 0);
  });

  test.skipIf(!delays)("fails while it waits for its retry", async () => {
    await enqueue(suite.harness(), "a", { config });
    await suite.harness().source.retry(await takeOne(suite.harness()), { error: failure, delaySeconds: 25 });
    await suite.harness().advance(isOverMs);
    await expectExpired("a", 1);
  });

  test.skipIf(!dependencies)("fails while it waits for other jobs, and those that wait for it with it", async () => {
    await enqueue(suite.harness(), "a");
    await takeOne(suite.harness());
    await enqueue(suite.harness(), "b", { config, depends_on: ["a"] });
    await enqueue(suite.harness(), "c", { depends_on: ["b"] });
    await suite.harness().advance(isOverMs);
    const ends = await takeEnds(suite.harness());
    expect(new Map(ends.map(({ jobId, error }) => [jobId, error?.code]))).toEqual(
      new Map([
        ["b", "EXPIRED"],
        ["c", "DEPENDENCY_FAILED"],
      ]),
    );
  });

  test.skipIf(!suite.capabilities.redriving)("has its whole time again after a redrive", async () => {
    await enqueue(suite.harness(), "a", { config });
    await suite.harness().advance(isOverMs);
    const [first] = await takeEnds(suite.harness());
    await suite.harness().queue.redrive("a");
    await suite.harness().advance(15_000);
    expect(await takeEnds(suite.harness())).toEqual([]);
    await expectStatus(suite, "a", "queued");
    await suite.harness().advance(6_000);
    const second = await takeEnds(suite.harness());
    expect(second).toMatchObject([{ jobId: "a", run: 2, attempt: 0, error: expired }]);
    // The end of the run before is not that of this one.
    await suite.harness().source.reported(first === undefined ? [] : [first]);
    await suite.harness().advance(suite.harness().source.leaseSeconds * 1000 + 1);
    expect(await takeEnds(suite.harness())).toMatchObject([{ jobId: "a", run: 2 }]);
  });

  test.skipIf(!suite.capabilities.redriving)(
    "that is redriven before its end was reported has none any more",
    async () => {
      await enqueue(suite.harness(), "a", { config });
      await suite.harness().advance(isOverMs);
      await takeEnds(suite.harness());
      await suite.harness().queue.redrive("a");
      expect(await take(suite.harness())).toMatchObject([{ jobId: "a", run: 2, attempt: 1 }]);
      await suite.harness().advance(suite.harness().source.leaseSeconds * 900);
      expect(await takeEnds(suite.harness())).toEqual([]);
    },
  );
}

function describeRunningJob(suite: Suite): void {
  async function running(id: string) {
    await enqueue(suite.harness(), id, { config });
    const lease = await takeOne(suite.harness());
    await suite.harness().advance(isOverMs);
    return lease;
  }

  test("is not interrupted", async () => {
    const lease = await running("a");
    expect(await takeEnds(suite.harness())).toEqual([]);
    expect(await suite.harness().source.renew([{ lease }])).toEqual(["held"]);
    expect(await suite.harness().source.complete(lease, result)).toBe("completed");
    expect(await takeEnds(suite.harness())).toEqual([]);
  });

  test("fails when it comes back to the queue after its time", async () => {
    const retried = await running("a");
    expect(await suite.harness().source.retry(retried, { error: failure, delaySeconds: 0 })).not.toBe("lost");
    const { leases, ends } = await suite.harness().source.take([{ worker: "sdxl", slots: 5 }]);
    expect(leases).toEqual([]);
    expect(ends).toMatchObject([{ jobId: "a", attempt: 1, status: "failed", error: expired }]);
  });

  test("fails when its lease runs out after its time", async () => {
    const lease = await running("a");
    await suite.harness().advance(suite.harness().source.leaseSeconds * 1000);
    const { leases, ends } = await suite.harness().source.take([{ worker: "sdxl", slots: 5 }]);
    expect(leases).toEqual([]);
    expect(ends).toMatchObject([{ jobId: "a", attempt: 1, status: "failed", error: expired }]);
    expect(await suite.harness().source.renew([{ lease }])).toEqual(["lost"]);
  });
}
