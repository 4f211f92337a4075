import { describe, expect, it } from "vitest";
import { type AttemptSummary, attemptsExhausted, decideSettlement } from "./attempt.ts";

const handler = { type: "paint", produces: "image", retry: { maxAttempts: 3, timeoutSeconds: 60 } } as const;
const picture = {
  index: 0,
  type: "image",
  file: "/w/0.png",
  extension: "png",
  mimeType: "image/png",
  sizeBytes: 1,
  metadata: {},
} as const;
const error = { code: "HANDLER_FAILED", message: "no paint left" } as const;
const fullDisk = { code: "DISK_FULL", message: "no room for a picture" } as const;
const otherKind = { code: "MODEL_UNSUITABLE", message: "the model draws, and does not paint" } as const;
const noFfmpeg = { code: "FFMPEG_MISSING", message: "nothing encodes videos here" } as const;
const unknownType = (type: string) => ({ code: "UNKNOWN_JOB_TYPE", message: `no ${type}`, details: { type } }) as const;
const evidence = { exitCode: null, signal: "SIGKILL", lastOutput: "" };

function summary(end: AttemptSummary["end"], changes: Partial<AttemptSummary> = {}): AttemptSummary {
  return { handler, attempt: 1, namesModel: false, end, stopReason: null, ownLimitSeconds: null, ...changes };
}

const done = { kind: "completed", assets: [picture], metadata: { seed: 0 } } as const;
const failed = (retry: "never" | "backoff" | { delaySeconds: number }) => ({ kind: "failed", error, retry }) as const;

describe("decideSettlement", () => {
  it.each([
    [
      "a finished job completes with its files",
      summary({ ...done, assets: [picture] }),
      { kind: "complete", assets: [picture], metadata: { seed: 0 } },
    ],
    [
      "an ordinary error is retried with backoff",
      summary(failed("backoff")),
      { kind: "retry", error, delaySeconds: null },
    ],
    [
      "a retryable error keeps its delay",
      summary(failed({ delaySeconds: 7 })),
      { kind: "retry", error, delaySeconds: 7 },
    ],
    ["a delay of zero is a delay", summary(failed({ delaySeconds: 0 })), { kind: "retry", error, delaySeconds: 0 }],
    [
      "a permanent error fails at once, and says that it is one",
      summary(failed("never")),
      { kind: "fail", error: { ...error, permanent: true } },
    ],
    [
      "a job that took longer than its own limit fails at once, and may be redriven",
      summary({ kind: "aborted", reason: "timed_out" }, { stopReason: "timed_out", ownLimitSeconds: 5 }),
      {
        kind: "fail",
        error: {
          code: "TIMED_OUT",
          message: "The job took longer than its own limit of 5 s (config.timeout_seconds).",
        },
      },
    ],
    [
      "a limit of its own beyond its handler's plays no part",
      summary({ kind: "aborted", reason: "timed_out" }, { stopReason: "timed_out", ownLimitSeconds: 61 }),
      {
        kind: "retry",
        error: { code: "TIMED_OUT", message: "The job took longer than the 60 s that paint allows." },
        delaySeconds: null,
      },
    ],
    ["the last attempt fails", summary(failed("backoff"), { attempt: 3 }), { kind: "fail", error }],
    [
      "a cancelled job is cancelled even when it finished meanwhile",
      summary({ ...done, assets: [picture] }, { stopReason: "cancelled" }),
      { kind: "cancelled" },
    ],
    [
      "a job that finished during shutdown completes",
      summary({ ...done, assets: [picture] }, { stopReason: "shutdown" }),
      { kind: "complete", assets: [picture], metadata: { seed: 0 } },
    ],
    [
      "a job stopped by shutdown is released",
      summary({ kind: "aborted", reason: "shutdown" }, { stopReason: "shutdown" }),
      { kind: "release" },
    ],
    [
      "a job killed by shutdown is released, not charged",
      summary({ kind: "crashed", evidence }, { stopReason: "shutdown" }),
      { kind: "release" },
    ],
    [
      "a job whose executor died of a stop is released, also when its time was over meanwhile",
      summary({ kind: "suspended" }, { stopReason: "timed_out" }),
      { kind: "release" },
    ],
    [
      "a job whose cancel was requested during the stop that killed its executor is cancelled",
      summary({ kind: "suspended" }, { stopReason: "cancelled" }),
      { kind: "cancelled" },
    ],
    [
      "a job whose executor died before it was ready is released",
      summary({ kind: "not_started" }),
      { kind: "release" },
    ],
    [
      "a condition of the container releases the job, also on its last attempt",
      summary({ kind: "failed", error: fullDisk, retry: "never" }, { attempt: 3 }),
      { kind: "release", condition: fullDisk },
    ],
    [
      "a job that has chosen a model of another kind fails at once",
      summary({ kind: "failed", error: otherKind, retry: "never" }, { namesModel: true }),
      { kind: "fail", error: { ...otherKind, permanent: true } },
    ],
    [
      "a container whose own model for the job type is of another kind releases the job",
      summary({ kind: "failed", error: otherKind, retry: "never" }),
      { kind: "release", condition: otherKind },
    ],
    [
      "a container without ffmpeg releases the job",
      summary({ kind: "failed", error: noFfmpeg, retry: "backoff" }),
      { kind: "release", condition: noFfmpeg },
    ],
    [
      "an executor that does not know the job's type cannot run it",
      summary({ kind: "failed", error: unknownType("paint"), retry: "never" }),
      { kind: "release", condition: unknownType("paint") },
    ],
    [
      "a handler that asks for a child of an unknown type fails",
      summary({ kind: "failed", error: unknownType("pant"), retry: "never" }),
      { kind: "fail", error: { ...unknownType("pant"), permanent: true } },
    ],
    [
      "a lost lease says nothing, not even success",
      summary({ ...done, assets: [picture] }, { stopReason: "lease_lost" }),
      { kind: "drop" },
    ],
  ])("%s", (_, given, expected) => {
    expect(decideSettlement(given)).toEqual(expected);
  });

  it("charges a crash to the job, with the evidence", () => {
    const settlement = decideSettlement(summary({ kind: "crashed", evidence }));
    expect(settlement).toMatchObject({ kind: "retry", error: { code: "EXECUTOR_CRASHED", details: evidence } });
    expect(decideSettlement(summary({ kind: "crashed", evidence }, { attempt: 3 }))).toMatchObject({
      kind: "fail",
      error: { code: "EXECUTOR_CRASHED" },
    });
  });

  it("says how long a timed-out job was allowed to take", () => {
    const settlement = decideSettlement(
      summary({ kind: "aborted", reason: "timed_out" }, { stopReason: "timed_out", attempt: 3 }),
    );
    expect(settlement).toMatchObject({
      kind: "fail",
      error: { code: "TIMED_OUT", message: expect.stringContaining("60 s") },
    });
  });

  it("does not complete an image job without an image, but a text job without a file", () => {
    const empty = { ...done, assets: [] };
    expect(decideSettlement(summary(empty))).toMatchObject({ kind: "retry", error: { code: "NO_ASSETS" } });
    expect(decideSettlement(summary(empty, { handler: { ...handler, produces: "text" } }))).toMatchObject({
      kind: "complete",
    });
  });
});

it("fails a job whose attempts died unseen with what was known of the last one", () => {
  const report = attemptsExhausted(3, {
    code: "LEASE_EXPIRED",
    message: "container a did not renew its lease for 30 s",
  });
  expect(report).toMatchObject({
    code: "ATTEMPTS_EXHAUSTED",
    message: expect.stringContaining("container a did not renew"),
  });
});
