import type { ErrorCode, ErrorReport } from "#contract/errors.ts";

/*
 * Failures in a row of different jobs with one cause: more likely this worker's than the jobs'; of jobs of one type alone,
 * more likely that type's. What a job brings on itself (a bad input, its size, its time) is not among the causes, and does
 * not end a row either.
 */
const causes: ReadonlySet<ErrorCode> = new Set([
  "INTERNAL",
  "HANDLER_FAILED",
  "EXECUTOR_CRASHED",
  "NUMERICAL_ERROR",
  "DEVICE_FAULT",
  "ENCODING_FAILED",
  "NO_ASSETS",
]);

const maxFailures = 5;

export interface Verdict {
  /** The job type that it is about; null for the whole worker. */
  readonly type: string | null;
  readonly error: ErrorReport;
}

export class FailureStreak {
  #code: ErrorCode | null = null;
  /** Types by job. */
  readonly #jobs = new Map<string, string>();

  succeeded(): void {
    this.#code = null;
    this.#jobs.clear();
  }

  /** True for an error that counts. */
  static counts({ code }: ErrorReport): boolean {
    return causes.has(code);
  }

  /** Returns what is wrong with the worker, or a type, when there have been too many; null while there have not. */
  failed(jobId: string, type: string, error: ErrorReport): Verdict | null {
    if (!FailureStreak.counts(error)) return null;
    if (this.#code !== error.code) this.#jobs.clear();
    this.#code = error.code;
    this.#jobs.set(jobId, type);
    if (this.#jobs.size < maxFailures) return null;
    const isOneType = new Set(this.#jobs.values()).size === 1;
    this.succeeded();
    const what = isOneType ? `jobs of the type ${type}` : "jobs";
    const consequence = isOneType ? "so it takes none of them for a while" : "so the worker paused itself";
    const message = `${maxFailures} different ${what} in a row failed with ${error.code}, ${consequence}. The last one: ${error.message}`;
    return { type: isOneType ? type : null, error: { code: error.code, message } };
  }
}
