import { CodedError } from "#contract/errors.ts";
import type { Registry } from "#runtime/job-types/registry.ts";
import type { Logger } from "#runtime/observe/log.ts";
import type { JobQueues } from "#runtime/sources/job-queues.ts";
import type { Lease } from "#runtime/sources/job-source.ts";

export interface ForgottenJob {
  readonly source: string;
  readonly lease: Pick<Lease, "jobId" | "job" | "run">;
  readonly delaySeconds: number;
}

/** Puts a job that its source has forgotten on its queue again: the app still waits for it. */
export async function restoreJob(
  { queues, registry, log }: { readonly queues: JobQueues; readonly registry: Registry; readonly log: Logger },
  { source, lease: { jobId, job, run }, delaySeconds }: ForgottenJob,
): Promise<void> {
  const fields = { job_id: jobId, type: job.type, source };
  const worker = registry.get(job.type)?.worker;
  if (worker === undefined) {
    log.error(fields, "a job that its source has forgotten cannot be put back: no worker here runs its type");
    return;
  }
  try {
    await queues.enqueue(job, { worker, delaySeconds, run }, { source });
    log.warn(fields, "a job that its source had forgotten is on its queue again");
  } catch (error) {
    // The app was faster, with a body of its own.
    if (!(error instanceof CodedError && error.code === "IDEMPOTENCY_CONFLICT")) throw error;
  }
}
