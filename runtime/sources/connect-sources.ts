import type { Config, UpstashConfig } from "#runtime/container/config.ts";
import type { SupabaseConfig } from "#runtime/container/supabase-config.ts";
import type { Logger } from "#runtime/observe/log.ts";
import type { JobRows } from "./job-rows.ts";
import { type JobQueue, type JobSource, queueName } from "./job-source.ts";
import type { SqliteSource } from "./sqlite/sqlite-source.ts";
import type { SupabaseSourceOptions } from "./supabase/options.ts";
import type { SupabaseSource } from "./supabase/supabase-source.ts";
import type { UpstashSource } from "./upstash/upstash-source.ts";

/** The sources that the configuration names, by their names, and the queue that jobs enqueued here go to. */
export interface Sources {
  readonly byName: ReadonlyMap<string, JobSource>;
  readonly queue: JobQueue;
  readonly upstash: UpstashSource | null;
  close(): Promise<void>;
}

/** Under load the next take comes within this time, and the settling goes with it. */
const settlePatienceMs = 4;

/** The code of a source that is not used is not even loaded. */
export async function connectSources(
  config: Config,
  sqlite: SqliteSource,
  workers: readonly string[],
  log: Logger,
): Promise<Sources> {
  const upstash =
    config.upstash !== null && config.sources.includes("upstash")
      ? await connectUpstash(config, config.upstash, workers, log)
      : null;
  const supabase =
    config.supabase !== null && config.sources.includes("supabase")
      ? await connectSupabase(config, config.supabase, workers, log)
      : null;
  const connected = { sqlite, upstash: upstash ?? sqlite, supabase: supabase ?? sqlite };
  const sources: (JobSource & JobQueue)[] = config.sources.map((name) => connected[name]);
  return {
    byName: new Map(sources.map((source) => [source.name, source])),
    queue: sources[0] ?? sqlite,
    upstash,
    async close() {
      await Promise.all([upstash?.close(), supabase?.close()]);
    },
  };
}

export async function connectUpstash(
  { workerId, supabase }: Pick<Config, "workerId" | "supabase">,
  settings: UpstashConfig,
  workers: readonly string[],
  log?: Logger,
): Promise<UpstashSource> {
  const { createUpstashSource } = await import("./upstash/upstash-source.ts");
  const { popSides, ...options } = settings;
  const sideOf = (worker: string) => popSides[queueName(worker)] ?? popSides["*"];
  const lists = workers.flatMap((worker) => {
    const side = sideOf(worker);
    return side === undefined ? [] : [[worker, { side }] as const];
  });
  return createUpstashSource({
    ...options,
    workerId,
    workers,
    lists: Object.fromEntries(lists),
    settlePatienceMs,
    ...(supabase === null ? {} : { rows: jobRows({ ...supabase, workerId, ...(log ? { log } : {}) }) }),
    ...(log ? { log } : {}),
  });
}

/** The code for it is loaded when somebody cancels or redrives a job for the first time. */
function jobRows(options: SupabaseSourceOptions): JobRows {
  const load = async () => new (await import("./supabase/supabase-job-rows.ts")).SupabaseJobRows(options);
  return {
    cancelled: async (jobId) => (await load()).cancelled(jobId),
    redriven: async (jobId) => (await load()).redriven(jobId),
  };
}

export async function connectSupabase(
  { workerId, leaseSeconds }: Pick<Config, "workerId" | "leaseSeconds">,
  settings: SupabaseConfig,
  workers: readonly string[],
  log?: Logger,
): Promise<SupabaseSource> {
  const { createSupabaseSource } = await import("./supabase/supabase-source.ts");
  return createSupabaseSource({ ...settings, workerId, leaseSeconds, workers, ...(log ? { log } : {}) });
}
