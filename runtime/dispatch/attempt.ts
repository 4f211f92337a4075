import { z } from "zod";
import type { ErrorCode, ErrorReport } from "#contract/errors.ts";
import type { Handler } from "#contract/handler.ts";
import type { ReleaseReason } from "#contract/release-reason.ts";
import { isOfCall } from "#runtime/calls/of-call.ts";
import type { AttemptEnd, CrashEvidence } from "#runtime/executor/parent/task-slot.ts";
import type { AssetFile } from "#runtime/executor/protocol.ts";

/*
 * What becomes of a job after an attempt: a pure decision, in one place.
 *
 *   completed             → complete                  (with the files that its job type promises)
 *   condition             → release                   (of the container, not of the job: attempt not charged)
 *   permanent error       → fail
 *   its own limit is over → fail                      (`config.timeout_seconds`)
 *   anything else         → retry, or fail when the attempts are used up
 *   cancelled             → cancelled
 *   suspended             → release                   (it was stopped from outside: attempt not charged)
 *   shutdown, not started → release                   (attempt not charged)
 *   lease lost            → drop                      (somebody else has the job: report nothing)
 */
export type Settlement =
  | {
      readonly kind: "complete";
      readonly assets: readonly AssetFile[];
      readonly metadata: Readonly<Record<string, unknown>>;
      readonly enhancedPrompt?: string;
      readonly text?: string;
    }
  | { readonly kind: "fail"; readonly error: ErrorReport }
  | { readonly kind: "retry"; readonly error: ErrorReport; readonly delaySeconds: number | null }
  | { readonly kind: "cancelled" }
  /**
   * `condition`: what keeps this container from running the job. `delaySeconds`: others' jobs go first for so long, for
   * this `reason`.
   */
  | {
      readonly kind: "release";
      readonly condition?: ErrorReport;
      readonly delaySeconds?: number;
      readonly reason?: ReleaseReason;
    }
  | { readonly kind: "drop" };

/** Why the dispatcher stopped an attempt; null when it did not. */
export type StopReason = "cancelled" | "timed_out" | "shutdown" | "lease_lost" | null;

export interface AttemptSummary {
  readonly handler: Pick<Handler, "type" | "produces" | "retry">;
  readonly attempt: number;
  /** The job has chosen its model, and it is not the handler's own. */
  readonly namesModel: boolean;
  readonly end: AttemptEnd;
  readonly stopReason: StopReason;
  /** How long the job itself lets an attempt run; null where its handler alone decides. */
  readonly ownLimitSeconds: number | null;
}

export function decideSettlement(summary: AttemptSummary): Settlement {
  const { end, stopReason } = summary;
  if (stopReason === "lease_lost") return { kind: "drop" };
  if (stopReason === "cancelled") return { kind: "cancelled" };
  if (end.kind === "completed") return completed(summary, end);
  // Also when its time was over meanwhile: that it could not use.
  if (end.kind === "suspended") return { kind: "release" };
  if (stopReason === "shutdown") return { kind: "release" };
  if (stopReason === "timed_out") return timedOut(summary);
  if (end.kind === "crashed") return retryOrFail(summary, crashed(end.evidence), null);
  if (end.kind === "not_started") return { kind: "release" };
  // An executor aborts only on request, and then there is a reason; one that stopped by itself is shutting down.
  if (end.kind === "aborted") return { kind: "release" };
  if (isCondition(end.error, summary)) return { kind: "release", condition: end.error };
  if (end.retry === "never") return { kind: "fail", error: { ...end.error, permanent: true } };
  return retryOrFail(summary, end.error, end.retry === "backoff" ? null : end.retry.delaySeconds);
}

/** What is wrong with this container, and may not be with another one, or later. */
const conditionCodes: ReadonlySet<ErrorCode> = new Set([
  "MODEL_NOT_FOUND",
  "MODEL_INVALID",
  "MODEL_TOO_LARGE",
  "HANDLER_INVALID",
  "DEVICE_LOST",
  "DISK_FULL",
  "FFMPEG_MISSING",
  "ENGINE_UNAVAILABLE",
  "CALL_NOT_OFFERED",
]);

const namesType = z.object({ type: z.string() });

/** A handler that names an unknown type for a child of its job is wrong; an executor that does not know the job's own is not able. */
export function isCondition(
  { code, details }: ErrorReport,
  { handler, namesModel }: { readonly handler: Pick<Handler, "type">; readonly namesModel: boolean },
): boolean {
  // A call says in one code that its own condition was met, so that the caller's is not looked for in the called one's words.
  if (isOfCall({ details })) return code === "CALL_NOT_OFFERED";
  if (code === "UNKNOWN_JOB_TYPE") return namesType.safeParse(details).data?.type === handler.type;
  // That the model is of another kind is the fault of who has chosen it: this container's, or the job's.
  if (code === "MODEL_UNSUITABLE") return !namesModel;
  return conditionCodes.has(code);
}

function completed(summary: AttemptSummary, end: Extract<AttemptEnd, { kind: "completed" }>): Settlement {
  const { handler } = summary;
  const makesFiles = handler.produces === "image" || handler.produces === "video";
  if (makesFiles && end.assets.length === 0) {
    const error: ErrorReport = {
      code: "NO_ASSETS",
      message: `The handler ${handler.type} ended without handing over a file, but it produces ${handler.produces}s.`,
    };
    return retryOrFail(summary, error, null);
  }
  return {
    kind: "complete",
    assets: end.assets,
    metadata: end.metadata,
    ...(end.enhancedPrompt === undefined ? {} : { enhancedPrompt: end.enhancedPrompt }),
    ...(end.text === undefined ? {} : { text: end.text }),
  };
}

function retryOrFail(summary: AttemptSummary, error: ErrorReport, delaySeconds: number | null): Settlement {
  const { attempt, handler } = summary;
  if (attempt < handler.retry.maxAttempts) return { kind: "retry", error, delaySeconds };
  return { kind: "fail", error };
}

/** The limit of the job itself is its app's word: more attempts would be more time than it has given. */
function timedOut(summary: AttemptSummary): Settlement {
  const { handler, ownLimitSeconds } = summary;
  const code = "TIMED_OUT";
  if (ownLimitSeconds !== null && ownLimitSeconds < handler.retry.timeoutSeconds) {
    const message = `The job took longer than its own limit of ${ownLimitSeconds} s (config.timeout_seconds).`;
    return { kind: "fail", error: { code, message } };
  }
  const message = `The job took longer than the ${handler.retry.timeoutSeconds} s that ${handler.type} allows.`;
  return retryOrFail(summary, { code, message }, null);
}

export function crashed(evidence: CrashEvidence): ErrorReport {
  const how = evidence.signal === null ? `exit code ${evidence.exitCode}` : `signal ${evidence.signal}`;
  const hint = evidence.signal === "SIGKILL" ? " (often the system's out-of-memory killer)" : "";
  return {
    code: "EXECUTOR_CRASHED",
    message: `The executor process died while it ran the job: ${how}${hint}.`,
    details: evidence,
  };
}

/** For a job that comes back with more attempts behind it than its handler allows: its executor or container died each time. */
export function attemptsExhausted(maxAttempts: number, previous: ErrorReport | undefined): ErrorReport {
  const last =
    previous === undefined ? "no error was recorded" : `the last one ended with ${previous.code}: ${previous.message}`;
  return {
    code: "ATTEMPTS_EXHAUSTED",
    message: `All ${maxAttempts} attempts are used up; ${last}`,
    ...(previous === undefined ? {} : { details: previous }),
  };
}
