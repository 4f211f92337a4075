import { CommanderError } from "commander";
import { CodedError, type ErrorCode, type ErrorReport, toErrorReport } from "#contract/errors.ts";

/*
 * The one place where errors become the command's message and exit code.
 *
 *   0    completed
 *   1    failed: the job, a check, or the machine (full disk, missing folder, damaged file)
 *   2    bad usage: unknown job type, bad option, bad field value, invalid environment
 *   130  Ctrl-C (SIGINT); 143 for SIGTERM, 129 for SIGHUP: 128 + the signal's number, as shells do
 */
export const exitCodes = { completed: 0, failed: 1, usage: 2 } as const;

const usageCodes: ReadonlySet<ErrorCode> = new Set([
  "INVALID_REQUEST",
  "INVALID_JOB",
  "UNKNOWN_JOB_TYPE",
  "CONFIG_INVALID",
]);

export interface Failure {
  readonly report: ErrorReport;
  readonly exitCode: number;
  /** For `--verbose`. */
  readonly stack: string | undefined;
}

/** What is wrong with how the command was called. */
export function usageError(message: string): CodedError {
  return new CodedError("INVALID_REQUEST", message);
}

/** Any thrown value as the command's message; null when there is nothing to report (help and version were printed). */
export function toFailure(error: unknown): Failure | null {
  if (error instanceof CommanderError) return commanderFailure(error);
  const report = toErrorReport(error);
  const expected = error instanceof CodedError;
  return {
    report: { code: report.code, message: expected ? report.message : unexpected(error, report.message) },
    exitCode: expected && usageCodes.has(error.code) ? exitCodes.usage : exitCodes.failed,
    stack: error instanceof Error ? stackWithCauses(error) : undefined,
  };
}

function commanderFailure(error: CommanderError): Failure | null {
  if (error.exitCode === 0) return null;
  // Commander has printed the help itself when a command is missing; its message is then only a marker.
  const message =
    error.code === "commander.help"
      ? "A command is missing: see the list above."
      : sentence(error.message.replace(/^error: /, ""));
  return { report: { code: "INVALID_REQUEST", message }, exitCode: exitCodes.usage, stack: undefined };
}

/** Commander's "unknown command 'rn'\n(Did you mean run?)" as sentences. */
function sentence(message: string): string {
  const [problem = "", ...hints] = message.split("\n").map((line) => line.trim());
  const text = `${problem.charAt(0).toUpperCase()}${problem.slice(1).replace(/\.$/, "")}.`;
  return [text, ...hints.map((hint) => hint.replace(/^\((.*)\)$/, "$1"))].filter((part) => part !== "").join(" ");
}

function unexpected(error: unknown, message: string): string {
  const name = error instanceof Error && error.name !== "Error" ? `${error.name}: ` : "";
  return `Something unexpected happened: ${name}${message} (--verbose shows where).`;
}

function stackWithCauses(error: Error): string {
  const own = error.stack ?? error.message;
  return error.cause instanceof Error ? `${own}\ncaused by: ${stackWithCauses(error.cause)}` : own;
}
