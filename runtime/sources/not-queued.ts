import { CodedError } from "#contract/errors.ts";

/** The refusal of another priority for a job that does not wait. */
export function notQueued(jobId: string, status: string): CodedError {
  const message = `Job ${jobId} is ${status}: only a job that waits can be given another priority.`;
  return new CodedError("JOB_NOT_QUEUED", message, { details: { status } });
}
