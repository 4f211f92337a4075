import { CodedError, isPermanent } from "#contract/errors.ts";
import type { JobQueues } from "./job-queues.ts";

/**
 * Puts a failed job back on its queue. One that would fail again as it is, only when `force` says so.
 *
 * @throws CodedError JOB_NOT_RETRYABLE; what `redrive` throws
 */
export async function retryJob(queues: JobQueues, jobId: string, force: boolean): Promise<void> {
  const record = force ? null : await queues.get(jobId);
  if (record?.status === "failed" && record.error !== null && isPermanent(record.error)) {
    const { code } = record.error;
    throw new CodedError(
      "JOB_NOT_RETRYABLE",
      `Job ${jobId} failed for good (${code}) and would fail again: hand in a corrected one, or force the retry (force=true, --force).`,
      { details: { code } },
    );
  }
  await queues.redrive(jobId);
}
