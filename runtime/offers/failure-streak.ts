import type { ErrorCode, ErrorReport } from "#contract/errors.ts";

/*
 * Failures in a row of different jobs with one cause: more likely this worker's than the jobs'. What a job brings on
 * itself (a bad input, its size, its time) is not among the causes, and does not end a row either.
 */
const causes: ReadonlySet<ErrorCode> = new Set([
  "INTERNAL",
  "HANDLER_FAILED",
  "EXECUTOR_CRASHED",
  "NUMERICAL_ERROR",
  "DEVICE_FAULT",
  "NO_ASSETS",
]);

const maxFailures = 5;

export class FailureStreak {
  #code: ErrorCode | null = null;
  readonly #jobs = new Set<string>();

  succeeded(): void {
    this.#code = null;
    this.#jobs.clear();
  }

  /** True for an error that counts. */
  static counts({ code }: ErrorReport): boolean {
    return causes.has(code);
  }

  /** Returns what to say of the worker when there have been too many; null while there have not. */
  failed(jobId: string, error: ErrorReport): ErrorReport | null {
    if (!FailureStreak.counts(error)) return null;
    if (this.#code !== error.code) this.#jobs.clear();
    this.#code = error.code;
    this.#jobs.add(jobId);
    if (this.#jobs.size < maxFailures) return null;
    this.succeeded();
    const message = `${maxFailures} different jobs in a row failed with ${error.code}, so the worker paused itself. The last one: ${error.message}`;
    return { code: error.code, message };
  }
}
