import { describe, expect, test } from "vitest";
import type { DeliveryNote } from "#contract/delivery-note.ts";
import { enqueue, outliveLeases, recordOf, result, type Suite, settle, takeOne } from "./harness.ts";

const note: DeliveryNote = {
  becomes: "completed",
  step: "report",
  since: "2026-11-28T12:00:00.000Z",
  tries: 3,
  error: { code: "CALLBACK_REFUSED", message: "The app does not take it yet (CALLBACK_REFUSED)." },
  next_try_at: "2026-11-28T12:05:00.000Z",
};

/** A job that has been worked off and whose result has not reached the app yet. */
export function describeDelivering(suite: Suite): void {
  const { records, cancelling } = suite.capabilities;
  const delivering = async () => {
    await enqueue(suite.harness(), "a");
    const lease = await takeOne(suite.harness());
    await suite.harness().source.noteDeliveries?.([{ lease, note }]);
    return lease;
  };

  describe.skipIf(!records)("a job that is being delivered", () => {
    test("runs, and says to every container why it has not ended", async () => {
      await enqueue(suite.harness(), "b");
      const other = await takeOne(suite.harness());
      await delivering();
      expect(await recordOf(suite, "a")).toMatchObject({ status: "running", delivery: note });
      const { queue } = await suite.harness().second();
      expect(await queue.get("a")).toMatchObject({ status: "running", delivery: note });
      const { jobs } = await queue.list({ limit: 10 });
      expect(jobs.map(({ job, delivery }) => [job.id, delivery])).toEqual([
        ["a", note],
        ["b", null],
      ]);
      expect(other.jobId).toBe("b");
    });

    test("has the newest note, and none when it is settled", async () => {
      const lease = await delivering();
      const { source } = suite.harness();
      await source.noteDeliveries?.([{ lease, note: { ...note, step: "files", tries: 4, error: null } }]);
      expect(await recordOf(suite, "a")).toMatchObject({ delivery: { step: "files", tries: 4, error: null } });
      expect(await source.renew([{ lease, progress: 1 }])).toEqual(["held"]);
      expect(await recordOf(suite, "a")).toMatchObject({ delivery: { tries: 4 } });
      expect(await source.complete(lease, result)).toBe("completed");
      expect(await recordOf(suite, "a")).toMatchObject({ status: "completed", delivery: null });
    });

    test("has none when its lease is somebody else's, who cannot be overwritten", async () => {
      const lease = await delivering();
      await outliveLeases(suite.harness());
      const second = await suite.harness().second();
      const newer = await takeOne(second);
      await suite.harness().source.noteDeliveries?.([{ lease, note }]);
      expect(await recordOf(suite, "a")).toMatchObject({ status: "running", attempt: 2, delivery: null });
      await settle(second.source, "retry", newer);
      expect(await recordOf(suite, "a")).toMatchObject({ status: "queued", delivery: null });
    });

    test.skipIf(!cancelling)("cannot be cancelled: it has been worked off", async () => {
      const lease = await delivering();
      await expect(suite.harness().queue.cancel("a")).rejects.toMatchObject({
        code: "JOB_ALREADY_SETTLED",
        message: expect.stringMatching(/has been worked off \(completed\) and is being delivered/),
        details: { status: "delivering" },
      });
      expect(await suite.harness().source.renew([{ lease }])).toEqual(["held"]);
      expect(await recordOf(suite, "a")).toMatchObject({ status: "running", cancelRequested: false });
    });

    test.skipIf(!cancelling)("can be cancelled again when its container is gone", async () => {
      await delivering();
      await outliveLeases(suite.harness());
      expect(await suite.harness().queue.cancel("a")).toBe("cancelled");
    });
  });
}
