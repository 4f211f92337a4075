import { cancelMatching } from "#runtime/sources/change-many.ts";
import type { JobStatus } from "#runtime/sources/job-source.ts";
import { localTypes, remoteTypes, requireQueue } from "../filter-check.ts";
import { withExistingQueue } from "../queue.ts";
import { remoteClient } from "../remote/remote-client.ts";
import { readSettings } from "../settings.ts";
import { changeJobs, type JobChange } from "./change-jobs.ts";
import { type FilterOptions, filterOf, queueOf } from "./filter-options.ts";

export interface CancelJobsOptions extends FilterOptions {
  readonly status?: "queued" | "running";
}

const change = { verb: "Cancel", counts: ["cancelled", "requested"] } as const satisfies Omit<
  JobChange,
  "part" | "knownTypes"
>;

/** `ourvidz cancel` of many jobs. */
export async function cancelJobs(options: CancelJobsOptions): Promise<number> {
  const { status, type, user, olderThan } = options;
  const client = await remoteClient(options);
  if (client !== null) {
    const filter = {
      status: status ?? ("any" as const),
      queue: queueOf(options),
      type,
      user_id: user,
      older_than_seconds: olderThan,
    };
    const part: JobChange["part"] = async ({ limit, cursor, dryRun }) => {
      const { cancelled, requested, ...rest } = await client.cancelJobs({ ...filter, limit, cursor, dry_run: dryRun });
      return { ...rest, changed: { cancelled, requested } };
    };
    return changeJobs({ ...change, part, knownTypes: () => remoteTypes(client) }, options);
  }
  const statuses: readonly JobStatus[] = status === undefined ? ["queued", "running"] : [status];
  const filter = filterOf(options, statuses, Date.now());
  const config = await readSettings(options, { serves: false });
  return withExistingQueue(config, options, async (open) => {
    await requireQueue(options.queue, open, config.handlersFolder);
    const part: JobChange["part"] = (request) => cancelMatching(open.queue, { ...request, filter });
    return changeJobs({ ...change, part, knownTypes: () => localTypes(config) }, options);
  });
}
