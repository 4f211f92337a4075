import { CodedError, type ErrorReport, PermanentError, RetryableError } from "#contract/errors.ts";
import type { Handler } from "#contract/handler.ts";
import type { Job } from "#contract/job.ts";
import { crashed, isCondition } from "#runtime/dispatch/attempt.ts";
import type { AttemptEnd } from "#runtime/executor/parent/task-slot.ts";
import type { CallDetails } from "./of-call.ts";

type Called = Pick<Handler, "type" | "worker">;

/**
 * What a caller gets whose call was run and did not complete: the called handler's own error, with its code and its meaning for
 * another try; but for what is a condition of this container, which is CALL_NOT_OFFERED as if it had been known before.
 */
export function failureOf(
  end: Exclude<AttemptEnd, { kind: "completed" }>,
  { handler, job }: { readonly handler: Called; readonly job: Job },
): CodedError {
  switch (end.kind) {
    case "failed": {
      if (isConditionOf(end.error, handler, job)) return notOffered(handler.type, end.error);
      const { code, message, details } = end.error;
      const options = { code, details: detailsOf(handler.type, details) };
      if (end.retry === "never") return new PermanentError(message, options);
      return new RetryableError(message, { ...options, ...(end.retry === "backoff" ? {} : end.retry) });
    }
    case "crashed": {
      const { code, message, details } = crashed(end.evidence);
      return new RetryableError(message, { code, details: detailsOf(handler.type, details) });
    }
    case "suspended":
    case "not_started":
      return new RetryableError(`The executor of ${handler.worker} was stopped from outside, and with it the call.`, {
        code: "EXECUTOR_CRASHED",
        details: detailsOf(handler.type),
      });
    case "aborted":
      return shuttingDown(handler.type);
  }
}

export function isConditionOf(error: ErrorReport, handler: Called, job: Job): boolean {
  return isCondition(error, { handler, namesModel: typeof job.model_variant === "string" });
}

/** The caller can do without at once. */
export function notOffered(type: string, { code, message }: ErrorReport): CodedError {
  const details = { ...detailsOf(type), code };
  return new CodedError("CALL_NOT_OFFERED", `This container cannot run ${type} now: ${message}`, { details });
}

export function timedOut(type: string, timeoutMs: number): CodedError {
  const message = `The call of ${type} ran longer than the ${timeoutMs / 1000} s that it may: it was ended.`;
  return new RetryableError(message, { code: "TIMED_OUT", details: detailsOf(type) });
}

export function shuttingDown(type: string): CodedError {
  return new RetryableError("The container is shutting down: send the request again.", {
    code: "SHUTTING_DOWN",
    details: detailsOf(type),
  });
}

export function restarted({ type, worker }: Called): CodedError {
  return new RetryableError(`The executor of ${worker} is being restarted: send the request again.`, {
    code: "NOT_READY",
    details: detailsOf(type),
  });
}

/** @param retryAfterSeconds when there may be a place */
export function lineFull(type: string, message: string, retryAfterSeconds: number): CodedError {
  return new RetryableError(`${message} Try again in ${retryAfterSeconds} s.`, {
    code: "OVERLOADED",
    delaySeconds: retryAfterSeconds,
    details: detailsOf(type),
  });
}

/** A signal's reason as an error with a code. */
export function endedBy(type: string, { reason }: AbortSignal): CodedError {
  if (reason instanceof CodedError) return reason;
  const isTime = reason instanceof DOMException && reason.name === "TimeoutError";
  const message = isTime ? `The time for the call of ${type} is over.` : `Whoever had called ${type} has left.`;
  return new CodedError(isTime ? "TIMED_OUT" : "CANCELLED", message, { details: detailsOf(type) });
}

function detailsOf(call: string, details?: unknown): CallDetails {
  return { call, ...(details === undefined ? {} : { details }) };
}
