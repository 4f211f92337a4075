import { z } from "zod";
import { safeId } from "#contract/job.ts";
import type { Database } from "#runtime/lib/database/database.ts";
import type { Migration } from "#runtime/lib/database/migrations.ts";
import { fetchedMimeTypes } from "../limits.ts";

/** Which files were uploaded here, whose they are and until when they are kept; and which jobs name them. */
export const uploadMigrations: readonly Migration[] = [
  {
    component: "uploads",
    version: 1,
    sql: `CREATE TABLE uploads (
      user_id TEXT NOT NULL,
      sha256 TEXT NOT NULL,
      mime_type TEXT NOT NULL,
      size_bytes INTEGER NOT NULL,
      width INTEGER,
      height INTEGER,
      created_at_ms INTEGER NOT NULL,
      expires_at_ms INTEGER NOT NULL,
      PRIMARY KEY (user_id, sha256)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX uploads_by_expiry ON uploads (expires_at_ms);
    CREATE INDEX uploads_by_content ON uploads (sha256);
    CREATE TABLE upload_uses (
      user_id TEXT NOT NULL,
      sha256 TEXT NOT NULL,
      job_id TEXT NOT NULL,
      PRIMARY KEY (user_id, sha256, job_id),
      FOREIGN KEY (user_id, sha256) REFERENCES uploads (user_id, sha256) ON DELETE CASCADE
    ) STRICT, WITHOUT ROWID;`,
  },
];

const uploadRow = z
  .object({
    user_id: safeId,
    sha256: z.string(),
    mime_type: z.enum(fetchedMimeTypes),
    size_bytes: z.number(),
    width: z.number().nullable(),
    height: z.number().nullable(),
    created_at_ms: z.number(),
    expires_at_ms: z.number(),
  })
  .transform((row) => ({
    userId: row.user_id,
    sha256: row.sha256,
    mimeType: row.mime_type,
    sizeBytes: row.size_bytes,
    width: row.width,
    height: row.height,
    createdAtMs: row.created_at_ms,
    expiresAtMs: row.expires_at_ms,
  }));

/** An uploaded file. */
export type Upload = Readonly<z.output<typeof uploadRow>>;

const usage = z.object({ files: z.number(), bytes: z.number() });
export type UploadUsage = Readonly<z.output<typeof usage>>;
const use = z.object({ job_id: z.string() });

const columns = "user_id, sha256, mime_type, size_bytes, width, height, created_at_ms, expires_at_ms";
const sums = "count(*) AS files, coalesce(sum(size_bytes), 0) AS bytes";

export class UploadRows {
  readonly #database: Database;
  readonly #statements: ReturnType<typeof prepare>;

  constructor(database: Database) {
    this.#database = database;
    this.#statements = prepare(database);
  }

  /** One user's, or, of nobody in particular, the one that is kept longest. */
  find(userId: string | null, sha256: string): Upload | null {
    const { own, any } = this.#statements;
    return (userId === null ? any.get({ sha256 }) : own.get({ user_id: userId, sha256 })) ?? null;
  }

  /** All users' with this content, or one's. */
  all(userId: string | null, sha256: string): Upload[] {
    return this.#statements.all.all({ sha256, user_id: userId });
  }

  expired(beforeMs: number): Upload[] {
    return this.#statements.expired.all({ before: beforeMs });
  }

  usageOf(userId: string): UploadUsage {
    return this.#statements.usageOf.get({ user_id: userId }) ?? { files: 0, bytes: 0 };
  }

  usage(): UploadUsage {
    return this.#statements.usage.get() ?? { files: 0, bytes: 0 };
  }

  /** Durable; one that is there already is kept until the later of both ends. */
  async put(upload: Upload): Promise<void> {
    const { userId, sha256, mimeType, sizeBytes, width, height, createdAtMs, expiresAtMs } = upload;
    await this.#database.write(() =>
      this.#statements.put.run({
        user_id: userId,
        sha256,
        mime_type: mimeType,
        size_bytes: sizeBytes,
        width,
        height,
        created_at_ms: createdAtMs,
        expires_at_ms: expiresAtMs,
      }),
    );
  }

  /** A job names it: it is kept until then at least, and while the job waits or runs. */
  async use({ userId, sha256 }: Upload, jobId: string, expiresAtMs: number): Promise<void> {
    const key = { user_id: userId, sha256 };
    await this.#database.write(() => {
      this.#statements.keep.run({ ...key, expires_at_ms: expiresAtMs });
      this.#statements.use.run({ ...key, job_id: jobId });
    });
  }

  usesOf({ userId, sha256 }: Upload): string[] {
    return this.#statements.usesOf.all({ user_id: userId, sha256 }).map((row) => row.job_id);
  }

  /** With what is known of its uses. */
  async remove({ userId, sha256 }: Upload): Promise<void> {
    await this.#database.write(() => this.#statements.remove.run({ user_id: userId, sha256 }));
  }
}

function prepare(database: Database) {
  const key = "user_id = :user_id AND sha256 = :sha256";
  return {
    own: database.query(`SELECT ${columns} FROM uploads WHERE ${key}`, uploadRow),
    any: database.query(
      `SELECT ${columns} FROM uploads WHERE sha256 = :sha256 ORDER BY expires_at_ms DESC LIMIT 1`,
      uploadRow,
    ),
    all: database.query(
      `SELECT ${columns} FROM uploads WHERE sha256 = :sha256 AND user_id = coalesce(:user_id, user_id)`,
      uploadRow,
    ),
    expired: database.query(
      `SELECT ${columns} FROM uploads WHERE expires_at_ms < :before ORDER BY expires_at_ms LIMIT 1000`,
      uploadRow,
    ),
    usageOf: database.query(`SELECT ${sums} FROM uploads WHERE user_id = :user_id`, usage),
    usage: database.query(`SELECT ${sums} FROM uploads`, usage),
    put: database.command(
      `INSERT INTO uploads (${columns})
       VALUES (:user_id, :sha256, :mime_type, :size_bytes, :width, :height, :created_at_ms, :expires_at_ms)
       ON CONFLICT DO UPDATE SET expires_at_ms = max(expires_at_ms, excluded.expires_at_ms)`,
    ),
    keep: database.command(`UPDATE uploads SET expires_at_ms = max(expires_at_ms, :expires_at_ms) WHERE ${key}`),
    use: database.command(
      `INSERT INTO upload_uses (user_id, sha256, job_id) SELECT user_id, sha256, :job_id FROM uploads WHERE ${key}
       ON CONFLICT DO NOTHING`,
    ),
    usesOf: database.query(`SELECT job_id FROM upload_uses WHERE ${key}`, use),
    remove: database.command(`DELETE FROM uploads WHERE ${key}`),
  };
}
