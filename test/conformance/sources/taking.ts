import { describe, expect, test } from "vitest";
import { enqueue, makeJob, type Side, type Suite, take, takenIds, takeOne, worker } from "./harness.ts";

export function describeTaking(suite: Suite): void {
  describe("take", () => {
    test("answers nothing for an empty queue, for no request and for no slot", async () => {
      const { source } = suite.harness();
      expect(await take(suite.harness())).toEqual([]);
      expect(await source.take([])).toEqual({ leases: [], ends: [] });
      await enqueue(suite.harness(), "a");
      expect(await take(suite.harness(), 0)).toEqual([]);
    });

    test("leases a job whole, with a token and its first attempt", async () => {
      const { source } = suite.harness();
      const job = makeJob("a", { config: { steps: 4 }, metadata: { origin: "test" }, extra: [1, null] });
      await suite.harness().queue.enqueue(job, { worker });
      const lease = await takeOne(suite.harness());
      expect(lease).toMatchObject({ jobId: "a", job, attempt: 1 });
      expect(lease.token).not.toBe("");
      expect(lease.previousError).toBeUndefined();
      expect(lease.queuedAtMs).toBeLessThanOrEqual(lease.takenAtMs);
      expect(lease.expiresAtMs).toBe(lease.takenAtMs + source.leaseSeconds * 1000);
    });

    test("gives the oldest first, up to the slots asked for", async () => {
      for (const id of ["a", "b", "c"]) await enqueue(suite.harness(), id);
      expect(await takenIds(suite.harness(), 2)).toEqual(["a", "b"]);
      expect(await takenIds(suite.harness(), 2)).toEqual(["c"]);
    });

    test("serves several workers in one call, each from its own queue", async () => {
      const { source } = suite.harness();
      await enqueue(suite.harness(), "video", {}, { worker: "wan" });
      await enqueue(suite.harness(), "image");
      const { leases } = await source.take([
        { worker: "chat", slots: 5 },
        { worker: "sdxl", slots: 5 },
        { worker: "wan", slots: 5 },
      ]);
      expect(leases.map((lease) => lease.jobId)).toEqual(["image", "video"]);
    });

    test("never gives a running job to another container", async () => {
      await enqueue(suite.harness(), "a");
      await takeOne(suite.harness());
      expect(await take(await suite.harness().second())).toEqual([]);
    });

    test.skipIf(!suite.capabilities.shared)("gives each job once to many takers at a time", async () => {
      const ids = Array.from({ length: 40 }, (_, index) => `job-${index}`);
      for (const id of ids) await enqueue(suite.harness(), id);
      const sides: Side[] = [suite.harness(), await suite.harness().second()];
      const rounds = Array.from({ length: 12 }, () => sides.map((side) => take(side, 2)));
      const taken = (await Promise.all(rounds.flat())).flat().map((lease) => lease.jobId);
      expect(taken.toSorted()).toEqual(ids.toSorted());
    });
  });
  describeOrder(suite);
}

function describeOrder(suite: Suite): void {
  const { priorities, delays, affinity } = suite.capabilities;

  describe("order of a queue", () => {
    test.skipIf(!priorities)("is by priority, then by age", async () => {
      for (const [id, priority] of Object.entries({ low: -5, first: 0, second: 0, high: 9 })) {
        await enqueue(suite.harness(), id, { priority });
      }
      expect(await takenIds(suite.harness(), 4)).toEqual(["high", "first", "second", "low"]);
    });

    test.skipIf(!delays)("leaves a delayed job out until its time", async () => {
      await enqueue(suite.harness(), "later", {}, { delaySeconds: 20 });
      await enqueue(suite.harness(), "now");
      expect(await takenIds(suite.harness(), 5)).toEqual(["now"]);
      await suite.harness().advance(10_000);
      expect(await takenIds(suite.harness(), 5)).toEqual([]);
      await suite.harness().advance(10_001);
      expect(await takenIds(suite.harness(), 5)).toEqual(["later"]);
    });

    test.skipIf(!affinity)("prefers held models among jobs of one user and priority", async () => {
      await enqueue(suite.harness(), "other-model", { user_id: "ann", model_variant: "sdxl-base" });
      await enqueue(suite.harness(), "no-model", { user_id: "ann" });
      await enqueue(suite.harness(), "held-model", { user_id: "ann", model_variant: "tiny-sdxl" });
      expect(await takenIds(suite.harness(), 3, ["tiny-sdxl"])).toEqual(["held-model", "other-model", "no-model"]);
    });

    test.skipIf(!affinity)("does not let a held model go before another user's job", async () => {
      await enqueue(suite.harness(), "ann-1", { user_id: "ann", model_variant: "sdxl-base" });
      await enqueue(suite.harness(), "bob-1", { user_id: "bob", model_variant: "tiny-sdxl" });
      expect(await takenIds(suite.harness(), 1, ["tiny-sdxl"])).toEqual(["ann-1"]);
    });

    test.skipIf(!affinity || !priorities)("does not let a held model go before a higher priority", async () => {
      await enqueue(suite.harness(), "held", { model_variant: "tiny-sdxl" });
      await enqueue(suite.harness(), "urgent", { model_variant: "sdxl-base", priority: 5 });
      expect(await takenIds(suite.harness(), 1, ["tiny-sdxl"])).toEqual(["urgent"]);
    });

    test.skipIf(!affinity)("does not pass a job over without end", async () => {
      await enqueue(suite.harness(), "patient", { model_variant: "sdxl-base" });
      const taken: string[] = [];
      for (let index = 0; !taken.includes("patient") && index < 100; index += 1) {
        await enqueue(suite.harness(), `held-${index}`, { model_variant: "tiny-sdxl" });
        taken.push(...(await takenIds(suite.harness(), 1, ["tiny-sdxl"])));
      }
      expect(taken.length).toBeGreaterThan(1);
      expect(taken).toContain("patient");
    });
  });
}
