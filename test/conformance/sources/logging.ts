import { describe, expect, test } from "vitest";
import { type AttemptLog, maxKeptLogBytes } from "#contract/attempt-log.ts";
import { enqueue, failure, type Suite, takeOne } from "./harness.ts";

const logOf = (job_id: string, lines: readonly string[], more: Partial<AttemptLog> = {}): AttemptLog => ({
  job_id,
  attempt: 1,
  run: 1,
  worker_id: "w",
  ended_at: "2026-11-29T00:00:00.000Z",
  lines: [...lines],
  dropped: 0,
  ...more,
});

/** What failed attempts have printed, kept with their job. */
export function describeLogging(suite: Suite): void {
  const keep = async (log: AttemptLog) => await suite.harness().source.keepLog?.(log);
  const read = async (id: string, attempt: number) => await suite.harness().queue.readLog?.(id, attempt);

  describe.skipIf(!suite.capabilities.logs)("what an attempt has printed", () => {
    test("is kept by job and attempt, and read at another container", async () => {
      for (const id of ["a", "b"]) await enqueue(suite.harness(), id);
      const logs = [logOf("a", ["one", 'two "quoted" \\ ünï']), logOf("a", ["three"], { attempt: 2, dropped: 7 })];
      for (const log of logs) await keep(log);
      const { queue } = await suite.harness().second();
      for (const log of logs) expect(await queue.readLog?.("a", log.attempt)).toEqual(log);
      expect(await read("a", 3)).toBeNull();
      expect(await read("b", 1)).toBeNull();
    });

    test("is bounded: its last lines count", async () => {
      await enqueue(suite.harness(), "a");
      await keep(logOf("a", [...Array.from({ length: 99 }, () => "é".repeat(1000)), "the last"], { dropped: 1 }));
      const log = await read("a", 1);
      expect(log?.lines.at(-1)).toBe("the last");
      expect(Buffer.byteLength(log?.lines.join("\n") ?? "")).toBeLessThanOrEqual(maxKeptLogBytes);
      expect((log?.dropped ?? 0) + (log?.lines.length ?? 0)).toBe(101);
    });

    test("is of a job that is there, and goes with it", async () => {
      const { source, queue } = suite.harness();
      await keep(logOf("nobody", ["nobody's"]));
      expect(await read("nobody", 1)).toBeNull();
      await enqueue(suite.harness(), "a");
      await source.fail(await takeOne(suite.harness()), failure);
      await keep(logOf("a", ["one"]));
      expect(await read("a", 1)).toMatchObject({ lines: ["one"] });
      expect(await queue.discard(["a"])).toEqual(["discarded"]);
      await enqueue(suite.harness(), "a");
      expect(await read("a", 1)).toBeNull();
    });

    test("is that of the newest run", async () => {
      const { source, queue } = suite.harness();
      await enqueue(suite.harness(), "a");
      await source.fail(await takeOne(suite.harness()), failure);
      await keep(logOf("a", ["the first run"]));
      await queue.redrive("a");
      expect(await read("a", 1)).toBeNull();
      await keep(logOf("a", ["the second run"], { run: 2 }));
      await keep(logOf("a", ["the first run, late"]));
      expect(await read("a", 1)).toMatchObject({ run: 2, lines: ["the second run"] });
    });
  });
}
