import { removeAttemptLogs } from "#runtime/attempt-logs/attempt-logs.ts";
import type { CallbackLog } from "#runtime/delivery/callbacks/callback-log.ts";
import type { AssetStore, JobFolder } from "#runtime/delivery/stores/asset-store.ts";
import type { RemoveFiles } from "#runtime/sources/discard-jobs.ts";

export interface JobTraces {
  /** Where results go now, and the data folder's own store, where they may have gone before; they may be one. */
  readonly stores: readonly Pick<AssetStore, "removeJob">[];
  readonly callbacks: Pick<CallbackLog, "forget">;
  /** Where what its attempts have printed is kept. */
  readonly logs: string;
}

/** A store that does not answer must not hold up a request for longer. */
const limitMs = 30_000;

/** Removes a job's files from every store of this container, and what was reported of it from its data folder. */
export function jobRemover({ stores, callbacks, logs }: JobTraces): RemoveFiles {
  return async (folder: JobFolder) => {
    const signal = AbortSignal.timeout(limitMs);
    const removed = await Promise.all([...new Set(stores)].map((store) => store.removeJob(folder, signal)));
    await callbacks.forget(folder.jobId);
    await removeAttemptLogs(logs, folder.jobId);
    return removed.reduce((sum, files) => sum + files, 0);
  };
}
