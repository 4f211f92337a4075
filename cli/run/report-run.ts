import { relative, sep } from "node:path";
import process from "node:process";
import type { ErrorReport } from "#contract/errors.ts";
import { bad, note, type OutputOptions, printResult } from "../output.ts";
import type { RunEnd, RunOutcome } from "./run-outcome.ts";

/** Prints what became of the job: the files' names (or, without files, the metadata) on standard output, the rest beside it. */
export function reportRun(options: OutputOptions, jobId: string, { end, saved, seconds }: RunOutcome): void {
  const error = errorOf(end);
  const metadata = end.status === "completed" ? end.result.metadata : {};
  printResult(
    options,
    {
      job_id: jobId,
      status: end.status === "undelivered" ? "failed" : end.status,
      assets: saved,
      metadata,
      error: error === null ? null : { code: error.code, message: error.message },
    },
    end.status !== "completed"
      ? ""
      : saved.length > 0
        ? saved.map(({ file }) => shortPath(file)).join("\n")
        : JSON.stringify(metadata, null, 2),
  );
  if (error !== null && !options.json) note(`${bad("error:")} ${error.message}`);
  if (end.status === "cancelled") note(cancelledText(end));
  if (end.status === "completed" && !options.json) note(completedText({ end, saved, seconds }));
}

function errorOf(end: RunEnd): ErrorReport | null {
  return end.status === "failed" || end.status === "undelivered" ? end.error : null;
}

function cancelledText({ step, total }: Extract<RunEnd, { status: "cancelled" }>): string {
  return `cancelled ${total > 0 ? `at step ${step} of ${total}` : "before the first step"}; nothing was kept`;
}

function completedText({ saved, seconds }: RunOutcome): string {
  const files = saved.length === 1 ? "1 file" : `${saved.length} files`;
  const seeds = saved.flatMap(({ seed }) => (seed === null ? [] : [seed]));
  const with_ = seeds.length === 0 ? "" : `, seed ${seeds.join(", ")}`;
  return `completed in ${seconds.toFixed(1)} s: ${files}${with_}`;
}

/** Relative where that is the shorter way to say it. */
function shortPath(file: string): string {
  const path = relative(process.cwd(), file);
  return path.startsWith(`..${sep}`) ? file : path;
}
