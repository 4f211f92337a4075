import {
  CodedError,
  type ErrorReport,
  errorStatus,
  PermanentError,
  RetryableError,
  retryMeaning,
  toErrorReport,
} from "#contract/errors.ts";
import { type CodePlace, placeText } from "#runtime/lib/code-place.ts";
import type { HandlerOutcome, RetryMeaning } from "../protocol.ts";

/**
 * How an attempt ends that threw this, whatever it is. Never throws.
 * @param model the last requested one, which is what a fault of a model is about
 * @param place where it was thrown, as it may be shown to people
 */
export function failedOutcome(
  error: unknown,
  model?: string,
  place: CodePlace | null = null,
): Extract<HandlerOutcome, { kind: "failed" }> {
  try {
    if (isDiskFull(error)) return { kind: "failed", error: diskFull, retry: "backoff" };
    const report = withPlace(withModel(toErrorReport(error, "HANDLER_FAILED"), model), error, place);
    return { kind: "failed", error: report, retry: retryMeaning(error) };
  } catch {
    // A proxy may throw at being looked at.
    return {
      kind: "failed",
      error: { code: "HANDLER_FAILED", message: "What was thrown cannot be read." },
      retry: "backoff",
    };
  }
}

const diskFull: ErrorReport = {
  code: "DISK_FULL",
  message: "The disk is full while writing an asset: free some space in the data folder (DATA_DIR), and retry the job.",
};

function withModel(error: ErrorReport, model: string | undefined): ErrorReport {
  if (!error.code.startsWith("MODEL_") || model === undefined || error.details !== undefined) return error;
  return { ...error, details: { model } };
}

const mistakes: readonly unknown[] = ["TypeError", "ReferenceError", "RangeError", "SyntaxError"];

/** An error that nobody meant for people says where it was made: what was meant for them is their sentence alone. */
function withPlace(report: ErrorReport, error: unknown, place: CodePlace | null): ErrorReport {
  if (place === null || error instanceof CodedError || report.details !== undefined) return report;
  const at = placeText(place);
  const isMistake = error instanceof Error && mistakes.includes(error.name);
  return { ...report, message: isMistake ? `${report.message} (${at})` : report.message, details: { at } };
}

function isDiskFull(error: unknown): boolean {
  return error instanceof Error && "code" in error && (error.code === "ENOSPC" || error.code === "EDQUOT");
}

/** An error of the dispatcher process, with what it means for another attempt. */
export function repeatedError({
  error: { code, message, details },
  retry,
}: {
  readonly error: ErrorReport;
  readonly retry: RetryMeaning;
}): CodedError {
  if (retry === "never") return new PermanentError(message, { code, details });
  return new RetryableError(message, { code, details, ...(retry === "backoff" ? {} : retry) });
}

/**
 * An error that the dispatcher process reported. What can never be had (a child of no known type, a file that is refused)
 * ends the job; what does not answer may later.
 */
export function reportedError({ code, message, details }: ErrorReport): Error {
  const isFinal = errorStatus[code] < 500;
  return isFinal ? new PermanentError(message, { code, details }) : new RetryableError(message, { code, details });
}
