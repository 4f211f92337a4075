import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { CodedError } from "#contract/errors.ts";
import { jobEnvelope } from "#contract/job.ts";
import { errorReport } from "#runtime/executor/protocol.ts";
import { type Database, openDatabase } from "#runtime/lib/database/database.ts";
import type { Migration } from "#runtime/lib/database/migrations.ts";
import { jsonColumn } from "#runtime/lib/database/statements.ts";
import type { Lease } from "#runtime/sources/job-source.ts";

/*
 * Which jobs an emulator has given to which containers, on disk: the process that is started after it goes on with them, and
 * containers that have worked all the while post their ends to that one. A file belongs to one process at a time, by a lock that
 * the system takes from it however it ends; several emulators on a data folder have one each.
 */
const migrations: readonly Migration[] = [
  {
    component: "emulator",
    version: 1,
    sql: `CREATE TABLE given_jobs (
      token TEXT NOT NULL PRIMARY KEY,
      source TEXT NOT NULL,
      endpoint TEXT NOT NULL,
      worker_id TEXT,
      taken_at_ms INTEGER NOT NULL,
      lease TEXT NOT NULL CHECK (json_valid(lease))
    ) STRICT, WITHOUT ROWID;`,
  },
];

const lease = z.object({
  jobId: z.string(),
  job: jobEnvelope,
  token: z.string(),
  attempt: z.number(),
  run: z.number(),
  queuedAtMs: z.number(),
  takenAtMs: z.number(),
  expiresAtMs: z.number(),
  previousError: errorReport.optional(),
});

const row = z
  .object({ endpoint: z.string(), worker_id: z.string().nullable(), taken_at_ms: z.number(), lease: jsonColumn(lease) })
  .transform(({ endpoint, worker_id, taken_at_ms, lease: { previousError, ...rest } }): KeptJob => {
    const known: Lease = previousError === undefined ? rest : { ...rest, previousError };
    return { endpoint, workerId: worker_id, takenAtMs: taken_at_ms, lease: known };
  });

/** A job that a container has been given. */
export interface KeptJob {
  readonly lease: Lease;
  readonly endpoint: string;
  readonly workerId: string | null;
  /** By the calendar. */
  readonly takenAtMs: number;
}

/** Emulators that may work on one data folder at a time. */
const maxFiles = 16;
/** Of a file that another process has, or that is damaged: the next one will do. */
const passable: ReadonlySet<string> = new Set(["NOT_READY", "DATA_FOLDER_UNUSABLE"]);
/** Who holds the lock holds it to its end. */
const lockLimitMs = 50;

export class KeptJobs {
  readonly #database: Database;
  readonly #source: string;
  readonly #statements: ReturnType<typeof prepare>;

  private constructor(database: Database, source: string) {
    this.#database = database;
    this.#source = source;
    this.#statements = prepare(database);
  }

  /**
   * Opens the file of the emulator at this port, which is the one to which its containers post; another one where a process has it.
   * @param source the name of the source that has leased the jobs
   * @throws CodedError DATA_FOLDER_UNUSABLE, DISK_FULL, NOT_READY (sixteen emulators are on this folder)
   */
  static async open(dataFolder: string, { port, source }: { port: number; source: string }): Promise<KeptJobs> {
    const folder = join(dataFolder, "runpod");
    await mkdir(folder, { recursive: true });
    for (let number = 1; ; number++) {
      try {
        const suffix = number === 1 ? "" : `-${number}`;
        return new KeptJobs(await openAlone(join(folder, `emulator-${port}${suffix}.db`)), source);
      } catch (error) {
        if (!(error instanceof CodedError && passable.has(error.code)) || number === maxFiles) throw error;
      }
    }
  }

  /** Those of this source; what the process before has left of another one is removed. */
  async all(): Promise<readonly KeptJob[]> {
    const { all, removeOthers } = this.#statements;
    return await this.#database.writeSoon(() => {
      removeOthers.run({ source: this.#source });
      return all.all();
    });
  }

  async add({ lease: given, endpoint, workerId, takenAtMs }: KeptJob): Promise<void> {
    await this.#database.writeSoon(() =>
      this.#statements.add.run({
        token: given.token,
        source: this.#source,
        endpoint,
        worker_id: workerId,
        taken_at_ms: takenAtMs,
        lease: JSON.stringify(given),
      }),
    );
  }

  async remove({ token }: Pick<Lease, "token">): Promise<void> {
    await this.#database.writeSoon(() => this.#statements.remove.run({ token }));
  }

  close(): void {
    this.#database.close();
  }
}

async function openAlone(file: string): Promise<Database> {
  const database = await openDatabase(file, migrations, { busyLimitMs: lockLimitMs });
  try {
    database.query("PRAGMA locking_mode = EXCLUSIVE", z.object({})).get();
    // The lock comes with the next change.
    await database.writeSoon(() => database.command("DELETE FROM given_jobs WHERE token = ''").run());
    return database;
  } catch (error) {
    database.close();
    throw error;
  }
}

function prepare(database: Database) {
  return {
    all: database.query("SELECT endpoint, worker_id, taken_at_ms, lease FROM given_jobs ORDER BY taken_at_ms", row),
    add: database.command(
      `INSERT OR REPLACE INTO given_jobs (token, source, endpoint, worker_id, taken_at_ms, lease)
       VALUES (:token, :source, :endpoint, :worker_id, :taken_at_ms, :lease)`,
    ),
    remove: database.command("DELETE FROM given_jobs WHERE token = :token"),
    removeOthers: database.command("DELETE FROM given_jobs WHERE source <> :source"),
  };
}
