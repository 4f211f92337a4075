import { expect, it } from "vitest";
import type { ErrorCode } from "#contract/errors.ts";
import { FailureStreak } from "./failure-streak.ts";

/** Each entry is a job and how it ended; returns whether the worker is to pause. */
function pausesAfter(...ends: readonly (readonly [string, ErrorCode | "completed"])[]): boolean {
  const streak = new FailureStreak();
  let verdict = null;
  for (const [jobId, end] of ends) {
    if (end === "completed") streak.succeeded();
    else verdict = streak.failed(jobId, { code: end, message: "no paint left" });
  }
  if (verdict !== null) expect(verdict.message).toMatch(/5 different jobs.*no paint left/);
  return verdict !== null;
}

const failed = (id: string, code: ErrorCode = "HANDLER_FAILED") => [id, code] as const;
const four = ["a", "b", "c", "d"].map((id) => failed(id));

it.each([
  ["five jobs with one cause", [...four, failed("e")], true],
  ["four jobs", four, false],
  ["attempts of the same job", [...four, failed("a"), failed("d")], false],
  ["a job that went well between", [...four, ["x", "completed"] as const, failed("e")], false],
  ["another cause", [...four, failed("e", "EXECUTOR_CRASHED")], false],
  ["jobs that bring it on themselves", "abcdef".split("").map((id) => failed(id, "OUT_OF_MEMORY")), false],
  ["a job's own fault between", [...four, failed("x", "INVALID_JOB"), failed("e")], true],
])("%s", (_what, ends, pauses) => {
  expect(pausesAfter(...ends)).toBe(pauses);
});
