import { expect, it } from "vitest";
import type { ErrorCode } from "#contract/errors.ts";
import { FailureStreak } from "./failure-streak.ts";

/** Each entry is a job and how it ended; returns whether there have been too many failures. */
function pausesAfter(...ends: readonly (readonly [string, ErrorCode | "completed"])[]): boolean {
  const streak = new FailureStreak();
  let verdict = null;
  for (const [jobId, end] of ends) {
    if (end === "completed") streak.succeeded();
    else verdict = streak.failed(failing(jobId), { code: end, message: "no paint left" });
  }
  if (verdict !== null) expect(verdict.error.message).toMatch(/5 different jobs.*no paint left/);
  return verdict !== null;
}

const failing = (jobId: string, type = "paint", user_id = "anonymous") => ({ jobId, job: { type, user_id } });

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

it.each([
  ["one type: that type", ["paint", "paint", "paint", "paint", "paint"], "paint"],
  ["several types: the worker", ["paint", "count", "paint", "paint", "paint"], null],
])("of %s", (_what, types, expected) => {
  const streak = new FailureStreak();
  const verdicts = types.map((type, index) =>
    streak.failed(failing(`job-${index}`, type), { code: "HANDLER_FAILED", message: "no paint left" }),
  );
  expect(verdicts.at(-1)).toMatchObject({ type: expected, error: { code: "HANDLER_FAILED" } });
});

it.each([
  ["one user alone are that user's", ["ann", "ann", "ann", "ann", "ann"], "ann"],
  ["two users are not", ["ann", "ann", "ben", "ann", "ann"], null],
  ["nobody are not", ["anonymous", "anonymous", "anonymous", "anonymous", "anonymous"], null],
])("five failures of %s", (_what, users, userId) => {
  const streak = new FailureStreak();
  const verdicts = users.map((user, index) =>
    streak.failed(failing(`job-${index}`, "paint", user), { code: "HANDLER_FAILED", message: "no paint left" }),
  );
  expect(verdicts.at(-1)).toMatchObject({ type: "paint", userId });
});
