import { randomBytes } from "node:crypto";
import { stat } from "node:fs/promises";
import { join } from "node:path";
import { CodedError } from "#contract/errors.ts";
import type { Config, SourceName } from "#runtime/container/config.ts";
import type { LocalAssetStore } from "#runtime/delivery/stores/local-asset-store.ts";
import type { JobQueue, JobSource } from "#runtime/sources/job-source.ts";

/** The queue that a command looks at or changes, and where the files of its jobs may lie. */
export interface OpenQueue {
  readonly source: JobSource & JobQueue;
  readonly store: LocalAssetStore;
}

export interface QueueChoice {
  /** The queue on Redis instead of the one in the data folder. */
  readonly upstash?: boolean;
  /** The queue in the Supabase project's database. */
  readonly supabase?: boolean;
  /** --data: a folder that is named is meant. */
  readonly data?: string;
}

/** The queue that a container with this configuration enqueues to, unless the command line says which one. */
function chosenSource(config: Config, choice: QueueChoice): SourceName {
  if (choice.upstash) return "upstash";
  if (choice.supabase) return "supabase";
  return choice.data === undefined ? (config.sources[0] ?? "sqlite") : "sqlite";
}

/** Opens the queue of the data folder, made when it is missing, or the one elsewhere, and closes it afterwards. */
export async function withQueue<Result>(
  config: Config,
  choice: QueueChoice,
  body: (queue: OpenQueue) => Promise<Result>,
): Promise<Result> {
  const chosen = chosenSource(config, choice);
  if (chosen !== "sqlite") return withRemote(config, await connect(config, chosen), body);
  const { openEmbedded } = await import("#runtime/container/runtime.ts");
  const embedded = await openEmbedded(config);
  try {
    return await body(embedded);
  } finally {
    await embedded.close();
  }
}

/**
 * As above, but for commands that look: in a folder without a database there is nothing to see, and a mistyped folder
 * must not look like an empty queue.
 *
 * @throws CodedError DATA_FOLDER_UNUSABLE when there is no database yet
 */
export async function withExistingQueue<Result>(
  config: Config,
  choice: QueueChoice,
  body: (queue: OpenQueue) => Promise<Result>,
): Promise<Result> {
  if (chosenSource(config, choice) === "sqlite" && !(await hasDatabase(config))) {
    throw new CodedError(
      "DATA_FOLDER_UNUSABLE",
      `There are no jobs in ${config.dataFolder}: enqueue one, or name a container's data folder with --data or DATA_DIR.`,
    );
  }
  return withQueue(config, choice, body);
}

async function hasDatabase(config: Config): Promise<boolean> {
  const { databaseFile } = await import("#runtime/lib/database/database.ts");
  return stat(databaseFile(config.dataFolder)).then(
    () => true,
    (error: NodeJS.ErrnoException) => error.code !== "ENOENT" && error.code !== "ENOTDIR",
  );
}

/** @throws CodedError CONFIG_INVALID */
async function connect(config: Config, chosen: "upstash" | "supabase"): Promise<JobSource & JobQueue> {
  const { connectSupabase, connectUpstash } = await import("#runtime/sources/connect-sources.ts");
  if (chosen === "upstash") {
    if (config.upstash !== null) return connectUpstash(config, config.upstash, []);
    throw missing("--upstash needs UPSTASH_REDIS_REST_URL and UPSTASH_REDIS_REST_TOKEN in the environment.");
  }
  if (config.supabase !== null) return connectSupabase(config, config.supabase, []);
  throw missing("--supabase needs SUPABASE_URL and SUPABASE_SERVICE_KEY in the environment.");
}

function missing(message: string): CodedError {
  return new CodedError("CONFIG_INVALID", message);
}

async function withRemote<Result>(
  config: Config,
  source: JobSource & JobQueue,
  body: (queue: OpenQueue) => Promise<Result>,
): Promise<Result> {
  const { LocalAssetStore } = await import("#runtime/delivery/stores/local-asset-store.ts");
  // Only for looking up files; nothing is signed here.
  const store = new LocalAssetStore({
    folder: join(config.dataFolder, "files"),
    signingKey: randomBytes(32),
    nowMs: Date.now,
  });
  try {
    return await body({ source, store });
  } finally {
    await source.close();
  }
}
