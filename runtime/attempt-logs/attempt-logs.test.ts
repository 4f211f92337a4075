import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pino } from "pino";
import { afterEach, beforeEach, expect, it } from "vitest";
import { jobEnvelope } from "#contract/job.ts";
import { AttemptOutput } from "#runtime/executor/parent/attempt-output.ts";
import { AttemptLogs, readAttemptLog } from "./attempt-logs.ts";
import { findAttemptLog } from "./find-attempt-log.ts";
import { readableLines } from "./readable-line.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "ourvidz-logs-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const logs = (workerId = "a") => new AttemptLogs({ folder, workerId, log: pino({ level: "silent" }), everyMs: 5 });
const attempt = { jobId: "lake", attempt: 1, run: 1 };

it("is on disk while its attempt runs, so that it outlives its container", async () => {
  const output = new AttemptOutput();
  logs().follow(attempt, output);
  output.write("stdout", "half a li");
  output.write("stdout", "ne\n\rsix\rsecond\r\nbegun");
  await expect
    .poll(() => readAttemptLog(folder, "lake", 1))
    .toMatchObject({ ended_at: null, lines: ["half a line", "second", "begun"] });
});

it("is none for an attempt that printed nothing, and says so where it ran", async () => {
  const own = logs();
  const output = new AttemptOutput();
  own.follow(attempt, output);
  for (const stream of ["stdout", "stderr"] as const) output.end(stream);
  await output.closed;
  await own.flushed();
  expect(await readdir(folder)).toEqual([]);
  const record = {
    job: jobEnvelope.parse({ id: "lake", type: "draw" }),
    attempts: [
      { attempt: 1, workerId: "a", startedAtMs: 0, endedAtMs: 5, outcome: "failed", error: null, reason: null },
    ],
  } as const;
  const read = (number: number) => own.read("lake", number);
  expect(await findAttemptLog(record, 1, { read, workerId: "a" })).toMatchObject({ lines: [], dropped: 0 });
  await expect(findAttemptLog(record, 1, { read, workerId: "b" })).rejects.toMatchObject({
    code: "NOT_FOUND",
    message: expect.stringContaining("ran on the container a"),
  });
});

it.each([
  ["plain text", ["plain text"]],
  ['{"level":"info","time":"x"}', ['{"level":"info","time":"x"}']],
  ["{ no json", ["{ no json"]],
  [
    JSON.stringify({
      level: "warn",
      time: "2026-11-28T12:00:01.250Z",
      executor: "a",
      pid: 1,
      job_id: "j",
      msg: "slow",
      n: 3,
    }),
    ['12:00:01.250 warn slow {"n":3}'],
  ],
  [
    JSON.stringify({
      level: "error",
      time: "2026-11-28T12:00:01.250Z",
      msg: "no",
      error: { message: "m", stack: "E: m\n  at x" },
    }),
    ["12:00:01.250 error no", "E: m", "  at x"],
  ],
])("shows a line as people read it: %s", (line, shown) => {
  expect(readableLines(line)).toEqual(shown);
});
