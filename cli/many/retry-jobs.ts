import { redriveMatching } from "#runtime/sources/change-many.ts";
import { usageError } from "../errors.ts";
import { localTypes, remoteTypes, requireQueue } from "../filter-check.ts";
import { withExistingQueue } from "../queue.ts";
import { remoteClient } from "../remote/remote-client.ts";
import { readSettings } from "../settings.ts";
import { changeJobs, type JobChange } from "./change-jobs.ts";
import { type FilterOptions, filterOf, queueOf } from "./filter-options.ts";

export interface RetryJobsOptions extends FilterOptions {
  readonly force?: boolean;
}

const change = { verb: "Retry", counts: ["redriven"] } as const satisfies Omit<JobChange, "part" | "knownTypes">;

/** `ourvidz retry` of the failed jobs of a queue. */
export async function retryJobs(options: RetryJobsOptions): Promise<number> {
  const { type, code, force = false } = options;
  const queue = queueOf(options);
  if (queue === undefined) throw usageError("Name a job, or a queue whose failed jobs are retried: --queue.");
  const client = await remoteClient(options);
  if (client !== null) {
    const part: JobChange["part"] = async ({ limit, cursor, dryRun }) => {
      const { redriven, ...rest } = await client.redrive(queue, { type, code, force, limit, cursor, dryRun });
      return { ...rest, changed: { redriven } };
    };
    return changeJobs({ ...change, part, knownTypes: () => remoteTypes(client) }, options);
  }
  const filter = filterOf(options, ["failed"], Date.now());
  const config = await readSettings(options, { serves: false });
  return withExistingQueue(config, options, async (open) => {
    await requireQueue(options.queue, open, config.handlersFolder);
    const part: JobChange["part"] = (request) => redriveMatching(open.queue, { ...request, filter, force });
    return changeJobs({ ...change, part, knownTypes: () => localTypes(config) }, options);
  });
}
