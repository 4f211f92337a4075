import type { Failures } from "#runtime/sources/read-failures.ts";
import type { FailuresView } from "../api/failures.ts";
import { iso } from "../jobs/job-view.ts";

/** Groups of failed jobs as they are shown, over HTTP and by the command; with `queue`, only those of that one. */
export function viewFailures({ groups, unreachable }: Failures, queue?: string): FailuresView {
  return {
    groups: groups
      .filter((group) => queue === undefined || group.queue === queue)
      .map(({ worker: _, permanent, lastAtMs, newest, ...group }) => ({
        ...group,
        retryable: group.jobs - permanent,
        last_at: iso(lastAtMs),
        newest: newest === null ? null : { job_id: newest.jobId, message: newest.message },
      })),
    unreachable: [...unreachable],
  };
}
