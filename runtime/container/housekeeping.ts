import type { ChatSessions } from "#runtime/chat-sessions/chat-sessions.ts";
import type { CallbackLog } from "#runtime/delivery/callbacks/callback-log.ts";
import { removeOldFiles } from "#runtime/delivery/file-retention.ts";
import type { Outbox } from "#runtime/delivery/outbox.ts";
import type { LocalAssetStore } from "#runtime/delivery/stores/local-asset-store.ts";
import { partialFolder } from "#runtime/inputs/input-cache.ts";
import type { Uploads } from "#runtime/inputs/uploads/uploads.ts";
import type { Logger } from "#runtime/observe/log.ts";
import type { SqliteSource } from "#runtime/sources/sqlite/sqlite-source.ts";
import type { Config } from "./config.ts";
import { type DataFolder, logsFolder, removeAbandonedWork } from "./data-folder.ts";

/** What a container does to its data folder soon after its start and every few hours: forget old jobs, remove what died. */
export interface HousekeepingParts {
  readonly config: Config;
  readonly log: Logger;
  readonly folder: DataFolder;
  readonly source: SqliteSource;
  readonly store: LocalAssetStore;
  readonly outbox: Outbox;
  readonly callbacks: CallbackLog;
  readonly uploads: Pick<Uploads, "removeExpired">;
  readonly sessions: Pick<ChatSessions, "sweep">;
}

/** Not at the start itself, which has better things to do. */
const firstAfterMs = 60_000;
const everyMs = 6 * 60 * 60 * 1000;
const dayMs = 24 * 60 * 60 * 1000;

/** Returns the way to stop. What fails is logged and tried again the next time. */
export function startHousekeeping(parts: HousekeepingParts): () => void {
  const first = setTimeout(() => void keepHouse(parts), firstAfterMs).unref();
  const others = setInterval(() => void keepHouse(parts), everyMs).unref();
  return () => {
    clearTimeout(first);
    clearInterval(others);
  };
}

async function keepHouse(parts: HousekeepingParts): Promise<void> {
  const { config, log, folder, source, store, outbox, callbacks, uploads, sessions } = parts;
  try {
    const needed = new Set<string>();
    for await (const folders of outbox.workFolders()) for (const folder of folders) needed.add(folder);
    await removeAbandonedWork(folder, needed, Date.now());
    await store.removeUnfinished(dayMs);
    const forgotten = await source.prune(config.jobRetentionDays * dayMs);
    await callbacks.prune(config.jobRetentionDays * dayMs);
    if (forgotten > 0)
      log.info({ jobs: forgotten, older_than_days: config.jobRetentionDays }, "old job records removed");
    // What a killed process left of files that were on their way.
    await removeOldFiles(partialFolder(folder.inputs), Date.now() - dayMs).catch(() => 0);
    await removeOldFiles(logsFolder(folder.path), Date.now() - config.jobRetentionDays * dayMs).catch(() => 0);
    const expired = await uploads.removeExpired();
    if (expired > 0) log.info({ files: expired }, "expired inputs removed");
    await removeFiles(config, log, folder);
    const swept = await sessions.sweep();
    if (swept > 0) log.info({ sessions: swept }, "expired sessions of chat removed");
  } catch (error) {
    log.warn({ error }, "housekeeping failed; it will be tried again");
  }
}

async function removeFiles({ fileRetentionDays }: Config, log: Logger, { files }: DataFolder): Promise<void> {
  if (fileRetentionDays === 0) return;
  const removed = await removeOldFiles(files, Date.now() - fileRetentionDays * dayMs);
  if (removed > 0) log.info({ files: removed, older_than_days: fileRetentionDays }, "old files removed");
}
