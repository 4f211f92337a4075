import { randomBytes } from "node:crypto";
import { stat } from "node:fs/promises";
import { join } from "node:path";
import { CodedError } from "#contract/errors.ts";
import type { Config } from "#runtime/container/config.ts";
import type { Embedded } from "#runtime/container/embedded.ts";
import type { LocalAssetStore } from "#runtime/delivery/stores/local-asset-store.ts";
import type { Sources } from "#runtime/sources/connect-sources.ts";
import type { RemoveFiles } from "#runtime/sources/discard-jobs.ts";
import { sourceDefinitions } from "#runtime/sources/index.ts";
import type { JobQueues } from "#runtime/sources/job-queues.ts";
import type { ConfiguredSource } from "#runtime/sources/source-definition.ts";
import { note } from "./output.ts";
import { filesRemover } from "./remove-files.ts";

/** The queue that a command looks at or changes, and where the files of its jobs may lie. */
export interface OpenQueue {
  /** Over all sources that are meant. */
  readonly queue: JobQueues;
  readonly store: LocalAssetStore;
  /** Deletes a job's files where a container with this configuration puts them. */
  readonly removeFiles: RemoveFiles;
  readonly sources: Sources["byName"];
  /** The data folder, opened or made. */
  embedded(): Promise<Embedded>;
  /** Resolves when something may have changed in one of them, after `timeoutMs` or when `signal` aborts. */
  waitForChange(timeoutMs: number, signal: AbortSignal): Promise<void>;
}

export interface QueueChoice {
  /** A source by its name, as the option of that name says. */
  readonly source?: string;
  /** --data: a folder that is named is meant. */
  readonly data?: string;
}

/**
 * The sources that a container with this configuration takes jobs from, unless the command line says which one.
 *
 * @throws CodedError CONFIG_INVALID when that is not configured
 */
function chosenSources(config: Config, { source, data }: QueueChoice): readonly ConfiguredSource[] {
  if (source === undefined)
    return data === undefined ? config.sources : config.configuredSources.filter(({ isEmbedded }) => isEmbedded);
  const chosen = config.configuredSources.filter(({ name }) => name === source);
  if (chosen.length > 0) return chosen;
  const needs = sourceDefinitions.find(({ name }) => name === source)?.needs ?? [];
  throw new CodedError("CONFIG_INVALID", `--${source} needs ${needs.join(" and ")} in the environment.`);
}

/** Opens the queue that takes what is enqueued, in a data folder that is made when it is missing, and closes it afterwards. */
export function withFirstQueue<Result>(
  config: Config,
  choice: QueueChoice,
  body: (queue: OpenQueue) => Promise<Result>,
): Promise<Result> {
  return withSources(config, chosenSources(config, choice).slice(0, 1), body);
}

/**
 * As above, but all of them, for commands that look: in a folder without a database there is nothing to see, and a mistyped folder
 * must not look like an empty queue.
 *
 * @param empty what a list has before the first job, in a folder that nobody has named for this call
 * @throws CodedError DATA_FOLDER_UNUSABLE when there is no database yet, but for `empty`
 */
export async function withExistingQueue<Result>(
  config: Config,
  choice: QueueChoice,
  body: (queue: OpenQueue) => Promise<Result>,
  empty?: Result,
): Promise<Result> {
  const chosen = chosenSources(config, choice);
  const isThere = await hasDatabase(config);
  const existing = chosen.filter(({ isEmbedded }) => !isEmbedded || isThere);
  if (existing.length === 0) {
    const message = `There are no jobs in ${config.dataFolder}: enqueue one, or name a container's data folder with --data or DATA_DIR.`;
    if (empty === undefined || choice.data !== undefined) throw new CodedError("DATA_FOLDER_UNUSABLE", message);
    note(message);
    return empty;
  }
  return withSources(config, existing, body);
}

async function hasDatabase(config: Config): Promise<boolean> {
  const { databaseFile } = await import("#runtime/lib/database/database.ts");
  return stat(databaseFile(config.dataFolder)).then(
    () => true,
    (error: NodeJS.ErrnoException) => error.code !== "ENOENT" && error.code !== "ENOTDIR",
  );
}

async function withSources<Result>(
  config: Config,
  chosen: readonly ConfiguredSource[],
  body: (queue: OpenQueue) => Promise<Result>,
): Promise<Result> {
  const [{ connectSources }, { lazyEmbedded }, { LocalAssetStore }] = await Promise.all([
    import("#runtime/sources/connect-sources.ts"),
    import("#runtime/container/embedded.ts"),
    import("#runtime/delivery/stores/local-asset-store.ts"),
  ]);
  const embedded = lazyEmbedded(config);
  try {
    const sources = await connectSources(chosen, { workers: [], embedded: embedded.source });
    // Only for looking up files; nothing is signed here.
    const folder = join(config.dataFolder, "files");
    const store = new LocalAssetStore({ folder, signingKey: randomBytes(32), nowMs: Date.now });
    try {
      return await body({
        queue: sources.queues,
        store,
        sources: sources.byName,
        embedded: () => embedded.open(),
        removeFiles: filesRemover({
          config,
          store,
          embedded: async () => ((await hasDatabase(config)) ? embedded.open() : null),
        }),
        waitForChange: (timeoutMs, signal) => waitForAny(sources, timeoutMs, signal),
      });
    } finally {
      await sources.close();
    }
  } finally {
    await embedded.close();
  }
}

async function waitForAny({ byName }: Sources, timeoutMs: number, signal: AbortSignal): Promise<void> {
  const over = new AbortController();
  const either = AbortSignal.any([signal, over.signal]);
  await Promise.race([...byName.values()].map(({ source }) => source.waitForChange(timeoutMs, either)));
  over.abort();
}
