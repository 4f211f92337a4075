import { z } from "zod";
import type { JobCallback } from "#contract/callback.ts";
import type { Database } from "#runtime/lib/database/database.ts";
import type { Migration } from "#runtime/lib/database/migrations.ts";
import { inBatches } from "#runtime/lib/in-batches.ts";
import type { Callback } from "./callback.ts";

/*
 * The embedded callback: instead of a request to an app, a row a person can look at. As with an app, the key is
 * (job, run, attempt, status), and a progress report never follows an end state of its run.
 */
export const callbackMigrations: readonly Migration[] = [
  {
    component: "callbacks",
    version: 1,
    sql: `CREATE TABLE callbacks (
      job_id TEXT NOT NULL,
      attempt INTEGER NOT NULL,
      status TEXT NOT NULL,
      body TEXT NOT NULL,
      received_at_ms INTEGER NOT NULL,
      PRIMARY KEY (job_id, attempt, status)
    ) STRICT, WITHOUT ROWID`,
  },
  {
    component: "callbacks",
    version: 2,
    sql: `CREATE TABLE callbacks_by_run (
      job_id TEXT NOT NULL,
      run INTEGER NOT NULL,
      attempt INTEGER NOT NULL,
      status TEXT NOT NULL,
      body TEXT NOT NULL,
      received_at_ms INTEGER NOT NULL,
      PRIMARY KEY (job_id, run, attempt, status)
    ) STRICT, WITHOUT ROWID;
    INSERT INTO callbacks_by_run SELECT job_id, 1, attempt, status, body, received_at_ms FROM callbacks;
    DROP TABLE callbacks;
    ALTER TABLE callbacks_by_run RENAME TO callbacks;`,
  },
  {
    component: "callbacks",
    version: 3,
    sql: "CREATE INDEX callbacks_by_age ON callbacks (received_at_ms)",
  },
];

/** Rows that one transaction of `prune` deletes, so that it takes milliseconds only. */
const pruneBatch = 100;

const storedCallback = z.object({
  run: z.number(),
  attempt: z.number(),
  status: z.string(),
  body: z.string(),
  received_at_ms: z.number(),
});

export interface LoggedCallback {
  readonly run: number;
  readonly attempt: number;
  readonly status: string;
  readonly body: unknown;
  readonly receivedAtMs: number;
}

export class CallbackLog implements Callback {
  readonly name = "embedded";
  readonly #database: Database;
  readonly #nowMs: () => number;
  readonly #statements: ReturnType<typeof prepare>;

  constructor(database: Database, nowMs: () => number) {
    this.#database = database;
    this.#nowMs = nowMs;
    this.#statements = prepare(database);
  }

  async send(callback: JobCallback): Promise<void> {
    const row = {
      job_id: callback.job_id,
      run: callback.run ?? 1,
      attempt: callback.attempt,
      status: callback.status,
      body: JSON.stringify(callback),
      now: this.#nowMs(),
    };
    // The outbox repeats a final callback that a power cut took.
    await this.#database.writeGrouped(() =>
      (callback.status === "processing" ? this.#statements.progress : this.#statements.final).run(row),
    );
  }

  /** Deletes what was reported before `olderThanMs` ago; returns how many rows went. */
  async prune(olderThanMs: number): Promise<number> {
    const before = this.#nowMs() - olderThanMs;
    return await inBatches(pruneBatch, (limit) =>
      this.#database.writeSoon(() => this.#statements.prune.run({ before, limit })),
    );
  }

  /** Deletes what was reported of a job. */
  async forget(jobId: string): Promise<void> {
    await this.#database.writeSoon(() => this.#statements.forget.run({ job_id: jobId }));
  }

  /** Everything that was reported to the app about a job, oldest first. */
  of(jobId: string): LoggedCallback[] {
    return this.#statements.of.all({ job_id: jobId }).map((row) => ({
      run: row.run,
      attempt: row.attempt,
      status: row.status,
      body: JSON.parse(row.body),
      receivedAtMs: row.received_at_ms,
    }));
  }
}

function prepare(database: Database) {
  return {
    progress: database.command(
      `INSERT INTO callbacks (job_id, run, attempt, status, body, received_at_ms)
       SELECT :job_id, :run, :attempt, :status, :body, :now
       WHERE NOT EXISTS (SELECT 1 FROM callbacks
                          WHERE job_id = :job_id AND (run, attempt) >= (:run, :attempt) AND status <> 'processing')
       ON CONFLICT DO UPDATE SET body = excluded.body, received_at_ms = excluded.received_at_ms`,
    ),
    final: database.command(
      `INSERT INTO callbacks (job_id, run, attempt, status, body, received_at_ms)
       VALUES (:job_id, :run, :attempt, :status, :body, :now) ON CONFLICT DO NOTHING`,
    ),
    forget: database.command("DELETE FROM callbacks WHERE job_id = :job_id"),
    prune: database.command(
      `DELETE FROM callbacks WHERE (job_id, run, attempt, status) IN
         (SELECT job_id, run, attempt, status FROM callbacks INDEXED BY callbacks_by_age
           WHERE received_at_ms < :before LIMIT :limit)`,
    ),
    of: database.query(
      `SELECT run, attempt, status, body, received_at_ms FROM callbacks WHERE job_id = :job_id
       ORDER BY received_at_ms, run, attempt, status <> 'processing'`,
      storedCallback,
    ),
  };
}
