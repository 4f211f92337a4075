import { expect, it } from "vitest";
import { type EndedMessage, Statistics } from "./statistics.ts";

const ended: EndedMessage = {
  kind: "ended",
  outcome: { kind: "aborted", reason: "cancelled" },
  heldModels: ["tiny-sdxl"],
  memoryBytes: 7,
};

it("counts what was run, what failed, and how long a start took, whatever the clock on the wall does", () => {
  let [nowMs, steadyMs] = [99_000, 0];
  const statistics = new Statistics(
    () => nowMs,
    () => steadyMs,
  );
  statistics.spawned();
  [nowMs, steadyMs] = [1250, 250];
  statistics.ready();
  expect(statistics.counts).toMatchObject({ readySinceMs: 1250, startSeconds: 0.25, jobsProcessed: 0 });
  statistics.reported(ended);
  statistics.ended(ended.outcome);
  expect(statistics.counts).toMatchObject({ jobsProcessed: 1, errors: 0, lastJobAtMs: 1250, memoryBytes: 7 });
  statistics.ended({ kind: "crashed", evidence: { exitCode: 7, signal: null, lastOutput: "" } });
  statistics.ended({ kind: "not_started" });
  expect(statistics.counts.errors).toBe(1);
});

it("forgets what the process had when it is gone, and counts the unexpected ends", () => {
  const statistics = new Statistics(() => 1);
  statistics.ready();
  statistics.reported(ended);
  statistics.exited(false);
  expect(statistics.counts).toMatchObject({ heldModels: [], memoryBytes: null, readySinceMs: null, restarts: 1 });
  statistics.exited(true);
  expect(statistics.counts).toMatchObject({ restarts: 1, jobsProcessed: 1, startSeconds: expect.any(Number) });
});
