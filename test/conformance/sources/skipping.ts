import { describe, expect, test } from "vitest";
import type { Offer, TakeRequest } from "#runtime/sources/job-source.ts";
import { enqueue, fill, makeJob, recordOf, type Side, type Suite, take, takeOne, worker } from "./harness.ts";

/** The job type of `enqueue`. */
const type = "sdxl_image_fast";
const other = "sdxl_image_high";
const offer: Offer = { types: [type, other], defaultModelTypes: [type, other], models: ["tiny"] };
const skip = [{ userId: "mallory", type }];

/** Ids of what is taken while mallory's jobs of the one type are skipped. */
async function takenIds(side: Side, request: Partial<TakeRequest> = {}): Promise<string[]> {
  const { leases } = await side.source.take([{ worker, slots: 9, offer, skip, ...request }]);
  return leases.map(({ jobId }) => jobId);
}

export function describeSkipping(suite: Suite): void {
  const { records, cancelling, affinity, shared, waiting } = suite.capabilities;

  describe("take, while it skips a user's jobs of a type", () => {
    test.each<[string, Partial<TakeRequest>]>([
      ["with an offer", {}],
      ["without an offer", { offer: undefined }],
    ])("leaves them uncharged where they are, %s", async (_how, request) => {
      await enqueue(suite.harness(), "first", { user_id: "mallory" });
      await enqueue(suite.harness(), "high", { user_id: "mallory", type: other });
      await enqueue(suite.harness(), "second", { user_id: "mallory", model_variant: "tiny" });
      await enqueue(suite.harness(), "ann", { user_id: "ann" });
      await enqueue(suite.harness(), "nobody");
      const before = await recordOf(suite, "first");
      expect((await takenIds(suite.harness(), request)).toSorted()).toEqual(["ann", "high", "nobody"]);
      expect(await takenIds(suite.harness(), request)).toEqual([]);
      expect(await recordOf(suite, "first")).toEqual(before);
      const leases = await take(suite.harness(), 9);
      expect(leases.map(({ jobId, attempt }) => [jobId, attempt])).toEqual([
        ["first", 1],
        ["second", 1],
      ]);
    });

    test.skipIf(!shared)("gives them to another container, also what has come since", async () => {
      const another = await suite.harness().second();
      await enqueue(suite.harness(), "first", { user_id: "mallory" });
      expect(await takenIds(suite.harness())).toEqual([]);
      await enqueue(suite.harness(), "second", { user_id: "mallory" });
      expect(await takenIds(suite.harness())).toEqual([]);
      expect(await takenIds(another, { skip: [], slots: 1 })).toEqual(["first"]);
      expect(await takenIds(another, { skip: [] })).toEqual(["second"]);
    });

    test("goes for those that come back to the queue", async () => {
      await enqueue(suite.harness(), "a", { user_id: "mallory" });
      await suite.harness().source.release(await takeOne(suite.harness()));
      expect(await takenIds(suite.harness())).toEqual([]);
      expect(await take(suite.harness())).toMatchObject([{ jobId: "a", attempt: 1 }]);
    });

    test("asks for each worker what is skipped there", async () => {
      await enqueue(suite.harness(), "image", { user_id: "mallory" });
      await enqueue(suite.harness(), "video", { user_id: "mallory" }, { worker: "wan" });
      const { leases } = await suite.harness().source.take([
        { worker, slots: 1, offer, skip },
        { worker: "wan", slots: 1, offer },
      ]);
      expect(leases).toMatchObject([{ jobId: "video" }]);
    });

    test.skipIf(!affinity)("prefers a held model, but none that is skipped", async () => {
      await enqueue(suite.harness(), "plain", { user_id: "mallory", type: other });
      await enqueue(suite.harness(), "skipped", { user_id: "mallory", model_variant: "tiny" });
      await enqueue(suite.harness(), "held", { user_id: "mallory", type: other, model_variant: "tiny" });
      expect(await takenIds(suite.harness(), { heldModels: ["tiny"], slots: 1 })).toEqual(["held"]);
      expect(await takenIds(suite.harness(), { heldModels: ["tiny"] })).toEqual(["plain"]);
    });

    test.skipIf(!cancelling || !records)("lets them be cancelled", async () => {
      await enqueue(suite.harness(), "a", { user_id: "mallory" });
      expect(await takenIds(suite.harness())).toEqual([]);
      expect(await suite.harness().queue.cancel("a")).toBe("cancelled");
      expect(await take(suite.harness())).toEqual([]);
      expect(await recordOf(suite, "a")).toMatchObject({ status: "cancelled", attempt: 0 });
    });

    test.skipIf(!waiting)("reaches what waits behind 5,000 of them at once", { timeout: 300_000 }, async () => {
      const fields = { user_id: "mallory", priority: 5 };
      await fill(
        suite.harness(),
        Array.from({ length: 5000 }, (_, place) => makeJob(`m-${place}`, fields)),
      );
      await enqueue(suite.harness(), "bob", { user_id: "bob", priority: -1 });
      await enqueue(suite.harness(), "ann", { user_id: "ann" });
      await enqueue(suite.harness(), "foreign", { user_id: "ann", model_variant: "base" });
      expect(await takenIds(suite.harness(), { slots: 1 })).toEqual(["ann"]);
      expect(await takenIds(suite.harness(), { slots: 1 })).toEqual(["bob"]);
      await enqueue(suite.harness(), "late", { user_id: "ann" });
      expect(await takenIds(suite.harness(), { slots: 1 })).toEqual(["late"]);
      expect(await takenIds(suite.harness(), { slots: 1 })).toEqual([]);
      const [first] = await takenIds(suite.harness(), { slots: 1, skip: [] });
      expect(first).toMatch(/^m-\d{1,2}$/);
    });
  });
}
