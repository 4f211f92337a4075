import type { AttemptLog } from "#contract/attempt-log.ts";
import { exitCodes } from "../errors.ts";
import { note, type OutputOptions, printResult } from "../output.ts";

/** Prints what an attempt has printed: the lines on standard output, what is to be said of them beside it. */
export function showLog(options: OutputOptions, log: AttemptLog): number {
  printResult(options, log, log.lines.join("\n"));
  if (options.json) return exitCodes.completed;
  if (log.dropped > 0) note(`(${log.dropped} lines before these are not kept)`);
  if (log.lines.length === 0) note(`Attempt ${log.attempt} has printed nothing.`);
  return exitCodes.completed;
}

/** The attempt that is meant: the given one, else the newest. */
export function newestOr(
  log: number | true,
  { attempts }: { readonly attempts: readonly { readonly attempt: number }[] },
) {
  return log === true ? (attempts.at(-1)?.attempt ?? 1) : log;
}
