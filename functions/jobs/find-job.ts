import { shortened } from "#contract/problems.ts";
import type { JobQueue, JobRecord } from "#runtime/sources/job-source.ts";
import { HttpError } from "../errors.ts";

/** @throws CodedError JOB_NOT_FOUND */
export async function findJob(queue: Pick<JobQueue, "get">, id: string): Promise<JobRecord> {
  const record = await queue.get(id);
  if (record === null) throw new HttpError("JOB_NOT_FOUND", `There is no job ${shortened(id)}.`);
  return record;
}
