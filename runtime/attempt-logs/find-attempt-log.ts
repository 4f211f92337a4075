import type { AttemptLog } from "#contract/attempt-log.ts";
import { CodedError } from "#contract/errors.ts";
import type { JobRecord } from "#runtime/sources/job-source.ts";

export interface LogPlace {
  read(attempt: number): Promise<AttemptLog | null>;
  /** Of the container here. */
  readonly workerId: string;
}

/**
 * What an attempt has printed; of one that ran here and printed nothing, no lines.
 * @throws CodedError NOT_FOUND when there is no such attempt, or its log is elsewhere
 */
export async function findAttemptLog(
  { job, attempts }: Pick<JobRecord, "job" | "attempts">,
  number: number,
  { read, workerId }: LogPlace,
): Promise<AttemptLog> {
  const log = await read(number);
  if (log !== null) return log;
  const attempt = attempts.findLast((each) => each.attempt === number);
  if (attempt === undefined) {
    const known = attempts.map((each) => each.attempt).join(", ");
    throw new CodedError(
      "NOT_FOUND",
      `The job ${job.id} has no attempt ${number}: ${known === "" ? "it has not run yet" : `it has ${known}`}.`,
    );
  }
  const { workerId: ranOn, endedAtMs } = attempt;
  if (ranOn !== workerId)
    throw new CodedError(
      "NOT_FOUND",
      `Attempt ${number} of the job ${job.id} ran on the container ${ranOn}: if it printed anything, that container has its log.`,
    );
  const ended_at = endedAtMs === null ? null : new Date(endedAtMs).toISOString();
  return { job_id: job.id, attempt: number, run: null, worker_id: ranOn, ended_at, lines: [], dropped: 0 };
}
