import type { ErrorCode, ErrorReport } from "#contract/errors.ts";
import { anyUser } from "./quarantine.ts";

/*
 * Failures in a row of different jobs with one cause: more likely this worker's than the jobs'; of jobs of one type alone,
 * more likely that type's; of jobs of one user alone, more likely that user's. What a job brings on itself (a bad input, its size, its time) is not among the causes, and does
 * not end a row either.
 */
const causes: ReadonlySet<ErrorCode> = new Set([
  "INTERNAL",
  "HANDLER_FAILED",
  "EXECUTOR_CRASHED",
  "NUMERICAL_ERROR",
  "DEVICE_FAULT",
  "ENCODING_FAILED",
  "ENGINE_FAILED",
  "NO_ASSETS",
]);

const maxFailures = 5;

export interface Verdict {
  /** The job type that it is about; null for the whole worker. */
  readonly type: string | null;
  /** All failures are this user's: nobody else's jobs are concerned. */
  readonly userId: string | null;
  readonly error: ErrorReport;
}

interface FailedJob {
  readonly type: string;
  readonly userId: string;
}

export interface FailedLease {
  readonly jobId: string;
  readonly job: { readonly type: string; readonly user_id: string };
}

export class FailureStreak {
  #code: ErrorCode | null = null;
  readonly #jobs = new Map<string, FailedJob>();

  succeeded(): void {
    this.#code = null;
    this.#jobs.clear();
  }

  /** True for an error that counts. */
  static counts({ code }: ErrorReport): boolean {
    return causes.has(code);
  }

  /** Returns what is wrong with the worker, or a type, when there have been too many; null while there have not. */
  failed({ jobId, job: { type, user_id: userId } }: FailedLease, error: ErrorReport): Verdict | null {
    if (!FailureStreak.counts(error)) return null;
    if (this.#code !== error.code) this.#jobs.clear();
    this.#code = error.code;
    this.#jobs.set(jobId, { type, userId });
    if (this.#jobs.size < maxFailures) return null;
    const jobs = [...this.#jobs.values()];
    const isOneType = jobs.every((each) => each.type === type);
    const isOneUser = userId !== anyUser && jobs.every((each) => each.userId === userId);
    this.succeeded();
    const what = isOneType ? `jobs of the type ${type}` : "jobs";
    const consequence = isOneUser
      ? "all of one user, whose jobs let others' go first for a while"
      : isOneType
        ? "so it takes none of them for a while"
        : "so the worker paused itself";
    const message = `${maxFailures} different ${what} in a row failed with ${error.code}, ${consequence}. The last one: ${error.message}`;
    return { type: isOneType ? type : null, userId: isOneUser ? userId : null, error: { code: error.code, message } };
  }
}
