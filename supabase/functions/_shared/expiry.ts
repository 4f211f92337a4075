import type { ErrorReport } from "./errors.ts";
import type { Job } from "./job.ts";

/** The longest time that a job may ask to be kept waiting: 30 days. */
export const maxExpirySeconds = 30 * 24 * 60 * 60;

/** `config.expires_in_seconds` of a job: how long it may wait, from its creation or its redrive. Null: without end. */
export function expirySecondsOf({ config }: Pick<Job, "config">): number | null {
  const { expires_in_seconds: seconds } = config;
  return typeof seconds === "number" && seconds > 0 && seconds <= maxExpirySeconds ? seconds : null;
}

/** @param waitedFor what the job needed that nobody offered, when that is known: `the model "sdxl-base"` */
export function expiredError(seconds: number, waitedFor?: string): ErrorReport {
  const what = waitedFor === undefined ? "" : ` It waited for ${waitedFor}, which no container offered.`;
  return {
    code: "EXPIRED",
    message: `The job waited longer than its own limit of ${seconds} s (config.expires_in_seconds).${what}`,
  };
}
