import { CallbackLog, callbackMigrations } from "#runtime/delivery/callbacks/callback-log.ts";
import { outboxMigrations } from "#runtime/delivery/outbox-migrations.ts";
import { LocalAssetStore } from "#runtime/delivery/stores/local-asset-store.ts";
import { uploadMigrations } from "#runtime/inputs/uploads/upload-rows.ts";
import { type Database, databaseFile, openDatabase } from "#runtime/lib/database/database.ts";
import { sourceMigrations } from "#runtime/sources/sqlite/schema.ts";
import { SqliteSource } from "#runtime/sources/sqlite/sqlite-source.ts";
import type { Config } from "./config.ts";
import { type DataFolder, openDataFolder } from "./data-folder.ts";

/* A container's data folder and what lies in it, apart from the container: a command looks at it in a fraction of the time. */

export interface Embedded {
  readonly database: Database;
  readonly source: SqliteSource;
  readonly folder: DataFolder;
  readonly store: LocalAssetStore;
  readonly callbacks: CallbackLog;
  close(): Promise<void>;
}

/**
 * Opens the data folder and its database without running anything: what the CLI needs to look and to enqueue.
 * @param opened the folder, where it is open already
 */
export async function openEmbedded(config: Config, opened?: DataFolder): Promise<Embedded> {
  const folder = opened ?? (await openDataFolder(config.dataFolder));
  const database = await openDatabase(databaseFile(folder.path), [
    ...sourceMigrations,
    ...outboxMigrations,
    ...callbackMigrations,
    ...uploadMigrations,
  ]);
  const source = new SqliteSource(database, { workerId: config.workerId, leaseSeconds: config.leaseSeconds });
  return {
    database,
    source,
    folder,
    store: new LocalAssetStore({ folder: folder.files, signingKey: folder.signingKey, nowMs: Date.now }),
    callbacks: new CallbackLog(database, Date.now),
    async close() {
      await source.close();
      database.close();
    },
  };
}

/** The queue in the data folder for who may not need it: the folder is opened, or made, when it is first used. */
export function lazyEmbedded(config: Config): {
  open(): Promise<Embedded>;
  source(): Promise<SqliteSource>;
  close(): Promise<void>;
} {
  let opened: Promise<Embedded> | undefined;
  const open = () => {
    opened ??= openEmbedded(config);
    return opened;
  };
  return {
    open,
    source: async () => (await open()).source,
    // What could not be opened has been reported, and has nothing to close.
    close: async () => (await opened?.catch(() => undefined))?.close(),
  };
}
