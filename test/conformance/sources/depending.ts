import { describe, expect, test } from "vitest";
import {
  enqueue,
  expectStatus,
  failure,
  recordOf,
  result,
  type SettleCall,
  type Suite,
  settle,
  take,
  takenIds,
  takeOne,
} from "./harness.ts";

export function describeDepending(suite: Suite): void {
  if (suite.capabilities.dependencies) describeWaitingForOthers(suite);
  else describeRefusal(suite);
}

function describeRefusal(suite: Suite): void {
  describe.skipIf(!suite.capabilities.waiting)("a job that depends on others", () => {
    test("is refused: it must not run too early", async () => {
      await enqueue(suite.harness(), "a");
      const dependent = enqueue(suite.harness(), "b", { depends_on: ["a"] });
      await expect(dependent).rejects.toMatchObject({ code: "UNSUPPORTED_OPTION" });
      await enqueue(suite.harness(), "c", { depends_on: [] });
      expect(await takenIds(suite.harness(), 5)).toEqual(["a", "c"]);
    });
  });
}

function describeWaitingForOthers(suite: Suite): void {
  describe("a job that depends on others", () => {
    test("waits until all of them have completed, and then wakes who waits for jobs", async () => {
      const { source } = suite.harness();
      for (const id of ["a", "b"]) await enqueue(suite.harness(), id);
      await enqueue(suite.harness(), "c", { depends_on: ["a", "b"] });
      const other = await suite.harness().second();
      for (const lease of await take(suite.harness(), 5)) {
        expect(await take(other, 5)).toEqual([]);
        await source.complete(lease, result);
      }
      await other.source.waitForChange(10_000, new AbortController().signal, "jobs");
      expect(await takenIds(other, 5)).toEqual(["c"]);
    });

    test.each<SettleCall>(["fail", "cancelled"])("fails with those that depend on it, after %s", async (call) => {
      await enqueue(suite.harness(), "a");
      await enqueue(suite.harness(), "b", { depends_on: ["a"] });
      await enqueue(suite.harness(), "c", { depends_on: ["b"] });
      await settle(suite.harness().source, call, await takeOne(suite.harness()));
      for (const id of ["b", "c"]) {
        const record = await recordOf(suite, id);
        if (record !== undefined)
          expect(record).toMatchObject({ status: "failed", error: { code: "DEPENDENCY_FAILED" } });
      }
      expect(await take(suite.harness(), 5)).toEqual([]);
    });

    test("still waits while the other is tried again", async () => {
      await enqueue(suite.harness(), "a");
      await enqueue(suite.harness(), "b", { depends_on: ["a"] });
      const options = { error: failure, delaySeconds: 0 };
      await suite.harness().source.retry(await takeOne(suite.harness()), options);
      expect(await takenIds(suite.harness(), 5)).toEqual(["a"]);
      await expectStatus(suite, "b", "queued");
    });

    test("is refused when what it names is not there, or can never complete", async () => {
      await enqueue(suite.harness(), "a");
      await suite.harness().source.fail(await takeOne(suite.harness()), failure);
      const refused = (ids: readonly string[]) => enqueue(suite.harness(), "b", { depends_on: ids });
      await expect(refused(["nobody"])).rejects.toMatchObject({ code: "JOB_NOT_FOUND" });
      await expect(refused(["a"])).rejects.toMatchObject({ code: "DEPENDENCY_FAILED" });
    });
  });
}
