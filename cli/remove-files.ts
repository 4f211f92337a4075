import type { Config } from "#runtime/container/config.ts";
import type { Embedded } from "#runtime/container/embedded.ts";
import type { LocalAssetStore } from "#runtime/delivery/stores/local-asset-store.ts";
import type { RemoveFiles } from "#runtime/sources/discard-jobs.ts";

export interface FilePlaces {
  readonly config: Config;
  readonly store: LocalAssetStore;
  /** The data folder's database; null where there is none. */
  embedded(): Promise<Embedded | null>;
}

/** Deletes a job's files where a container with this configuration puts them, and what was reported of the job there. */
export function filesRemover({ config, store, embedded }: FilePlaces): RemoveFiles {
  let remover: Promise<RemoveFiles> | undefined;
  const connect = async (): Promise<RemoveFiles> => {
    const { supabase: project, dataFolder } = config;
    const [{ jobRemover }, { logsFolder }, { createLogger }] = await Promise.all([
      import("#runtime/container/remove-job.ts"),
      import("#runtime/container/data-folder.ts"),
      import("#runtime/observe/log.ts"),
    ]);
    const callbacks = (await embedded())?.callbacks ?? { forget: async () => undefined };
    const logs = logsFolder(dataFolder);
    if (project === null) return jobRemover({ stores: [store], callbacks, logs });
    const { SupabaseAssetStore } = await import("#runtime/delivery/stores/supabase-asset-store.ts");
    const log = await createLogger({ level: "silent", format: "json" });
    return jobRemover({ stores: [store, new SupabaseAssetStore({ project, log, nowMs: Date.now })], callbacks, logs });
  };
  return async (folder) => {
    remover ??= connect().catch((error: unknown) => {
      // What could not be opened may be the next time.
      remover = undefined;
      throw error;
    });
    return (await remover)(folder);
  };
}
