import { mkdirSync, type Stats, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { setTimeout as pause } from "node:timers/promises";
import { z } from "zod";
import { CodedError } from "#contract/errors.ts";
import { type Migration, migrate } from "./migrations.ts";
import { emptied, isBusy, stillBusy, toDatabaseError } from "./sqlite-errors.ts";
import { Command, Query } from "./statements.ts";

/** The embedded database of a data folder. */
export function databaseFile(dataFolder: string): string {
  return join(dataFolder, "ourvidz.db");
}

export interface DatabaseOptions {
  /** How long a transaction may wait for other processes in all. */
  readonly busyLimitMs?: number;
}

/**
 * SQLite's own wait for a lock blocks the thread, and this thread answers health checks: it gets these few
 * milliseconds, which two processes with short transactions rarely need; the rest is waited asynchronously.
 */
const blockingWaitMs = 15;
const defaultBusyLimitMs = 10_000;

/**
 * Opens the file, creates it and its folder when they are missing, and brings its tables up to date.
 *
 * @param migrations those of every component that will use this connection, in one list
 * @throws CodedError DATA_FOLDER_UNUSABLE, DISK_FULL, NOT_READY (locked by a process that hangs)
 */
export async function openDatabase(
  path: string,
  migrations: readonly Migration[],
  options: DatabaseOptions = {},
): Promise<Database> {
  let connection: DatabaseSync | undefined;
  try {
    mkdirSync(dirname(path), { recursive: true });
    await refuseEmptied(path);
    connection = new DatabaseSync(path, { timeout: blockingWaitMs, enableForeignKeyConstraints: true });
    const database = new Database(connection, path, options.busyLimitMs ?? defaultBusyLimitMs);
    await database.prepareFile(migrations);
    return database;
  } catch (error) {
    if (connection?.isOpen) connection.close();
    throw toDatabaseError(error, path);
  }
}

/** How long another process, which has just made the file, may take to write its beginning. */
const beginningMs = 1000;

/** A file without a byte is one that lost what it held: taken for a new one, all jobs would be gone without a word. */
async function refuseEmptied(path: string): Promise<void> {
  const untilMs = performance.now() + beginningMs;
  while (statSync(path, { throwIfNoEntry: false })?.size === 0) {
    if (performance.now() > untilMs) throw emptied(path);
    await pause(20);
  }
}

type Durability = "FULL" | "NORMAL";

/** A change that waits for others to share a transaction with. */
interface GroupedWrite {
  run(): void;
  resolve(): void;
  reject(error: unknown): void;
}

/** How long a grouped change waits for company. */
const groupMs = 1;

const journalModeRow = z.object({ journal_mode: z.string() });
const dataVersionRow = z.object({ data_version: z.number() });

/**
 * One connection to the database file. Several processes may have the file open: every change runs in `write`, which
 * takes the write lock first, so that what a transaction has read is still true when it writes.
 */
export class Database {
  readonly path: string;
  readonly #connection: DatabaseSync;
  readonly #busyLimitMs: number;
  #durability: Durability | undefined;
  #group: GroupedWrite[] = [];
  #groupTimer: NodeJS.Timeout | undefined;
  /** As it was opened. */
  #file: Stats | undefined;
  #dataVersion: Query<z.output<typeof dataVersionRow>> | undefined;

  constructor(connection: DatabaseSync, path: string, busyLimitMs: number) {
    this.#connection = connection;
    this.path = path;
    this.#busyLimitMs = busyLimitMs;
  }

  /** Journal, durability and tables; part of `openDatabase`. */
  async prepareFile(migrations: readonly Migration[]): Promise<void> {
    // A second process that is in the middle of switching the journal answers BUSY without any wait of SQLite's.
    const mode = await this.#withRetries(() => this.query("PRAGMA journal_mode = WAL", journalModeRow).get());
    if (mode?.journal_mode !== "wal") throw noSharedMemory(this.path);
    await this.write(() => migrate(this.#connection, this.path, migrations));
    this.#file = statSync(this.path);
  }

  /** Prepares a statement that returns rows. */
  query<Row>(sql: string, row: z.ZodType<Row>): Query<Row> {
    return new Query(this.#connection.prepare(sql), row);
  }

  /** Prepares a statement that only changes rows. */
  command(sql: string): Command {
    return new Command(this.#connection.prepare(sql));
  }

  /**
   * Runs `body` in one transaction that holds the write lock from its beginning, and commits durably; a throw rolls
   * back. `body` must not be async (other callers' statements would join the transaction) and may run more than once.
   */
  write<Result>(body: () => Result): Promise<Result> {
    this.#flushGroup();
    return this.#write(body, "FULL");
  }

  /**
   * Like `write`, without waiting for the disk. The commit survives the death of this process; a power cut may take it,
   * with all that came after it, never what came before. For changes that are made again, or that nobody relies on,
   * when they are lost: a durable `write` costs a wait for the disk, which is most of what a small job costs.
   */
  writeSoon<Result>(body: () => Result): Promise<Result> {
    return this.#write(body, "NORMAL");
  }

  /**
   * Like `writeSoon`, in one transaction with other changes of the same millisecond: for small changes that come in
   * great numbers and that nobody waits for. A throw takes back its own change alone.
   */
  writeGrouped<Result>(body: () => Result): Promise<Result> {
    const { promise, resolve, reject } = Promise.withResolvers<Result>();
    let result: { readonly value: Result } | undefined;
    this.#group.push({
      run: () => {
        result = { value: body() };
      },
      resolve: () =>
        result === undefined ? reject(new Error("A grouped change was not made.")) : resolve(result.value),
      reject,
    });
    this.#groupTimer ??= setTimeout(() => this.#flushGroup(), groupMs);
    return promise;
  }

  /** Runs `body` on one unchanging view of the data; like `write`, but for reading. */
  read<Result>(body: () => Result): Promise<Result> {
    return this.#withRetries(() => this.#transaction("BEGIN", body));
  }

  /**
   * For what is promised to others: an open file outlives its name, and what is written to it then is seen by nobody else.
   * @throws CodedError DATA_FOLDER_UNUSABLE when the file was deleted or replaced
   */
  requireFile(): void {
    const now = statSync(this.path, { throwIfNoEntry: false });
    if (now !== undefined && now.ino === this.#file?.ino && now.dev === this.#file.dev) return;
    throw new CodedError(
      "DATA_FOLDER_UNUSABLE",
      `The database ${this.path} is not the one that was opened: put it back, or restart the container.`,
    );
  }

  /** A number that changes when another connection, of this process or another, has committed. Reads no table. */
  dataVersion(): number {
    this.#dataVersion ??= this.query("PRAGMA data_version", dataVersionRow);
    return this.#dataVersion.get()?.data_version ?? 0;
  }

  close(): void {
    this.#flushGroup();
    if (this.#connection.isOpen) this.#connection.close();
  }

  /** Begins before it returns, so that what is written after it is committed after it. */
  #flushGroup(): void {
    clearTimeout(this.#groupTimer);
    this.#groupTimer = undefined;
    const group = this.#group;
    this.#group = [];
    if (group.length > 0) void this.#writeGroup(group);
  }

  async #writeGroup(group: readonly GroupedWrite[]): Promise<void> {
    const runAll = () => {
      for (const change of group) change.run();
    };
    try {
      await this.#write(runAll, "NORMAL");
      for (const change of group) change.resolve();
    } catch (error) {
      const [first, ...others] = group;
      // One of several has thrown and all are taken back: each for itself now.
      if (others.length === 0) first?.reject(error);
      else await Promise.all(group.map((change) => this.#writeGroup([change])));
    }
  }

  #write<Result>(body: () => Result, durability: Durability): Promise<Result> {
    return this.#withRetries(() => {
      this.#setDurability(durability);
      return this.#transaction("BEGIN IMMEDIATE", body);
    });
  }

  /** In WAL mode FULL syncs the log at every commit, NORMAL only at checkpoints (https://sqlite.org/pragma.html#pragma_synchronous). */
  #setDurability(durability: Durability): void {
    if (this.#durability === durability) return;
    this.#connection.exec(`PRAGMA synchronous = ${durability}`);
    this.#durability = durability;
  }

  #transaction<Result>(begin: "BEGIN" | "BEGIN IMMEDIATE", body: () => Result): Result {
    this.#connection.exec(begin);
    try {
      const result = body();
      this.#connection.exec("COMMIT");
      return result;
    } catch (error) {
      // A full disk makes SQLite roll back by itself; a second rollback would hide the reason.
      if (this.#connection.isTransaction) this.#connection.exec("ROLLBACK");
      throw error;
    }
  }

  async #withRetries<Result>(action: () => Result): Promise<Result> {
    const startedMs = performance.now();
    for (;;) {
      try {
        return action();
      } catch (error) {
        if (!isBusy(error)) throw toDatabaseError(error, this.path);
        const waitedMs = performance.now() - startedMs;
        if (waitedMs >= this.#busyLimitMs) throw stillBusy(this.path, waitedMs, error);
      }
      // Jitter, so that two processes that collided do not collide again.
      await pause(1 + Math.random() * 10);
    }
  }
}

function noSharedMemory(path: string): CodedError {
  return new CodedError(
    "DATA_FOLDER_UNUSABLE",
    `The database ${path} is on a file system without shared memory for write-ahead logging, as network drives are: ` +
      "set DATA_DIR to a folder on a local disk.",
    { details: { path } },
  );
}
