import type { OurvidzClient } from "#client/client.ts";
import { toErrorReport } from "#contract/errors.ts";
import { jobIdOf } from "#runtime/endpoints/endpoint-job.ts";
import type { JobQueues } from "#runtime/sources/job-queues.ts";

/**
 * The id of the job that a person has named: by it, or as the clients of an endpoint know its request (`<id>-u1`, `sync-<id>-u1`).
 * A job may have an id of its own in that form: then that is meant.
 */
export async function namedJob(queue: Pick<JobQueues, "get">, name: string): Promise<string> {
  return await idOf(name, async () => (await queue.get(name)) !== null);
}

/** The same, of a container's jobs. */
export async function namedRemoteJob(client: Pick<OurvidzClient, "job">, name: string): Promise<string> {
  return await idOf(name, async () => {
    try {
      await client.job(name);
      return true;
    } catch (error) {
      if (toErrorReport(error).code === "JOB_NOT_FOUND") return false;
      throw error;
    }
  });
}

async function idOf(name: string, isThere: () => Promise<boolean>): Promise<string> {
  const jobId = jobIdOf(name);
  return jobId === name || (await isThere()) ? name : jobId;
}
