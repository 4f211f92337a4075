import { CodedError, toErrorReport } from "#contract/errors.ts";
import { bucketOf } from "#contract/job.ts";
import type { JobFolder } from "#runtime/delivery/stores/asset-store.ts";
import { type ChangeOutcome, type ChangeRequest, changeMany, type Tally } from "./change-many.ts";
import type { JobQueues } from "./job-queues.ts";
import { isSettled, type JobQueue, type JobRecord, type MatchedJob } from "./job-source.ts";

/** Deletes a job's files wherever this container has them; returns how many. */
export type RemoveFiles = (folder: JobFolder) => Promise<number>;

/** Jobs whose files are removed at the same time. */
const removedAtOnce = 5;

/**
 * Forgets one job that has ended, with its files when `removeFiles` is given. Files go first: what could not be removed
 * can be named again as long as its job is there.
 *
 * @returns how many files went
 * @throws CodedError JOB_NOT_FOUND, JOB_NOT_SETTLED; what the store throws, and then the job is still there
 */
export async function discardJob(queues: JobQueues, jobId: string, removeFiles: RemoveFiles | null): Promise<number> {
  if (removeFiles === null) {
    await queues.discard(jobId);
    return 0;
  }
  const record = await queues.get(jobId);
  if (record === null) throw new CodedError("JOB_NOT_FOUND", `There is no job ${jobId}.`);
  // Of one that has not ended, `discard` says why not; its files are left to it.
  const files = isSettled(record.status) ? await removeFiles(folderOf(record)) : 0;
  await queues.discard(jobId);
  return files;
}

/**
 * Forgets ended jobs. Counts `discarded`, and `files` that went with them.
 * @throws CodedError INVALID_REQUEST for an error's code and states that have none; what `changeMany` throws
 */
export async function discardMatching(
  queues: JobQueues,
  { removeFiles, ...request }: ChangeRequest & { readonly removeFiles: RemoveFiles | null },
): Promise<ChangeOutcome> {
  const { code, statuses } = request.filter;
  if (code !== undefined && !statuses.includes("failed")) {
    const message = `Only failed jobs have an error's code: leave out ${code}, or the state ${statuses.join(", ")}.`;
    throw new CodedError("INVALID_REQUEST", message);
  }
  return changeMany(queues, request, async (queue, jobs, tally) => {
    if (request.dryRun) {
      if (jobs.length > 0) tally.add("discarded", jobs.length);
      return;
    }
    const ready = removeFiles === null ? jobs : await withoutFiles(queue, jobs, removeFiles, tally);
    for (const outcome of await queue.discard(ready.map(({ jobId }) => jobId))) {
      // One that was there a moment ago and is not any more: an answer that was lost, or somebody else's discard.
      if (outcome === "discarded" || outcome === "missing") tally.add("discarded");
      else if (outcome === "unreported")
        tally.leave(
          "JOB_NOT_SETTLED",
          "Their final callbacks are with no container yet: discard them when one has taken them.",
        );
      else tally.leave("JOB_NOT_SETTLED", "They were retried meanwhile and have not ended.");
    }
  });
}

/** The jobs whose files are gone. */
async function withoutFiles(
  queue: JobQueue,
  jobs: readonly MatchedJob[],
  removeFiles: RemoveFiles,
  tally: Tally,
): Promise<MatchedJob[]> {
  const ready: MatchedJob[] = [];
  const remove = async (job: MatchedJob) => {
    const record = await queue.get(job.jobId);
    if (record !== null && isSettled(record.status)) {
      try {
        tally.add("files", await removeFiles(folderOf(record)));
      } catch (error) {
        const { code, message } = toErrorReport(error);
        tally.leave(code, `Their files could not be removed: ${message}`);
        return;
      }
    }
    ready.push(job);
  };
  for (let from = 0; from < jobs.length; from += removedAtOnce)
    await Promise.all(jobs.slice(from, from + removedAtOnce).map(remove));
  return ready;
}

function folderOf({ job }: JobRecord): JobFolder {
  return { bucket: bucketOf(job), userId: job.user_id, jobId: job.id };
}
