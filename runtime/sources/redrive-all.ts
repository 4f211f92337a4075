import { CodedError } from "#contract/errors.ts";
import type { JobQueue } from "./job-source.ts";

type Redrivable = Pick<JobQueue, "list" | "redrive">;

export interface RedriveAllOptions {
  readonly worker: string;
  /** How many jobs are looked at. */
  readonly limit: number;
  /** No page is begun after it aborts. */
  readonly signal: AbortSignal;
}

export interface RedriveAllOutcome {
  readonly redriven: number;
  /** Jobs that could not be redriven: another job that they depend on has not completed. */
  readonly refused: number;
  /** Whether failed jobs may be left that were not looked at. */
  readonly more: boolean;
}

const pageSize = 50;
/** Enough to hide a network's delay, and little enough for a queue that is paid by the call to keep its rate. */
const atOnce = 5;

/**
 * Puts the failed jobs of a worker back on its queue, the newest first. Each job goes by itself: what somebody else
 * redrives or deletes at the same time is passed over, and a queue that stops answering leaves no job half redriven.
 */
export async function redriveAll(queue: Redrivable, options: RedriveAllOptions): Promise<RedriveAllOutcome> {
  const { worker, limit, signal } = options;
  let redriven = 0;
  let refused = 0;
  let seen = 0;
  let cursor: string | undefined;
  do {
    if (signal.aborted || seen >= limit) return { redriven, refused, more: true };
    const page = await queue.list({
      worker,
      status: "failed",
      limit: Math.min(pageSize, limit - seen),
      ...(cursor === undefined ? {} : { cursor }),
    });
    for (let from = 0; from < page.jobs.length; from += atOnce) {
      const outcomes = await Promise.all(page.jobs.slice(from, from + atOnce).map(({ job }) => redrive(queue, job.id)));
      redriven += outcomes.filter((outcome) => outcome === "redriven").length;
      refused += outcomes.filter((outcome) => outcome === "refused").length;
    }
    seen += page.jobs.length;
    cursor = page.cursor ?? undefined;
  } while (cursor !== undefined);
  return { redriven, refused, more: false };
}

async function redrive(queue: Redrivable, jobId: string): Promise<"redriven" | "refused" | "gone"> {
  try {
    await queue.redrive(jobId);
    return "redriven";
  } catch (error) {
    if (!(error instanceof CodedError)) throw error;
    if (error.code === "DEPENDENCY_FAILED") return "refused";
    if (error.code === "JOB_NOT_FAILED" || error.code === "JOB_NOT_FOUND") return "gone";
    throw error;
  }
}
