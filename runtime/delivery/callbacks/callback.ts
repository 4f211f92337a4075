import type { JobCallback } from "#contract/callback.ts";

/** Notifies the app of what became of a job. Idempotent by `(job_id, run, attempt, status)`: safe to repeat. */
export interface Callback {
  readonly name: string;
  /** Rejects when it should be tried again; a RetryableError's delay is respected, a PermanentError ends the tries. */
  send(callback: JobCallback, signal: AbortSignal): Promise<void>;
}
