import { jobIdOf, requestIdOf } from "#runtime/endpoints/endpoint-job.ts";
import type { JobQueues } from "#runtime/sources/job-queues.ts";
import type { JobRecord } from "#runtime/sources/job-source.ts";

/** The job of a request, null without one. A job that an earlier version has queued has the request's id itself. */
export async function recordOfRequest(queue: Pick<JobQueues, "get">, requestId: string): Promise<JobRecord | null> {
  for (const jobId of new Set([jobIdOf(requestId), requestId])) {
    const record = await queue.get(jobId);
    if (record !== null && requestIdOf(record.job) === requestId) return record;
  }
  return null;
}
