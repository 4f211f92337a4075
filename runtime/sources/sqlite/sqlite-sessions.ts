import { z } from "zod";
import { sessionLimits } from "#contract/chat-sessions.ts";
import { keptTurns } from "#runtime/chat-sessions/kept-turns.ts";
import type {
  NewTurn,
  SessionKey,
  SessionStore,
  StoredSession,
  StoredTurn,
} from "#runtime/chat-sessions/session-store.ts";
import type { Database } from "#runtime/lib/database/database.ts";
import type { Migration } from "#runtime/lib/database/migrations.ts";
import { jsonColumn } from "#runtime/lib/database/statements.ts";

/** Sessions of chat, one row each. */
export const sessionMigrations: readonly Migration[] = [
  {
    component: "chat_sessions",
    version: 1,
    sql: `CREATE TABLE chat_sessions (
      user_id       TEXT    NOT NULL,
      session_id    TEXT    NOT NULL,
      turns         TEXT    NOT NULL CHECK (json_valid(turns)),
      expires_at_ms INTEGER NOT NULL,
      PRIMARY KEY (user_id, session_id)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX chat_sessions_by_expiry ON chat_sessions (expires_at_ms);`,
  },
];

const storedTurn = z.object({
  id: z.string(),
  jobId: z.string(),
  runId: z.string(),
  prompt: z.string(),
  response: z.string(),
  createdAtMs: z.number(),
});
const sessionRow = z
  .object({ turns: jsonColumn(z.array(storedTurn)), expires_at_ms: z.number() })
  .transform(({ turns, expires_at_ms }): StoredSession => ({ turns, expiresAtMs: expires_at_ms }));

/** Sessions of chat in the database file of this machine. */
export class SqliteSessions implements SessionStore {
  readonly #database: Database;
  readonly #nowMs: () => number;
  readonly #statements: ReturnType<typeof prepare>;

  constructor(database: Database, nowMs: () => number) {
    this.#database = database;
    this.#nowMs = nowMs;
    this.#statements = prepare(database);
  }

  async read({ userId, sessionId }: SessionKey): Promise<StoredSession | null> {
    return this.#statements.read.get({ user_id: userId, session_id: sessionId, now_ms: this.#nowMs() }) ?? null;
  }

  /** Survives the death of the process; a power cut may take the newest turn, whose answer ends with this container too. */
  async append({ userId, sessionId }: SessionKey, turn: NewTurn): Promise<void> {
    const key = { user_id: userId, session_id: sessionId };
    await this.#database.writeSoon(() => {
      const now_ms = this.#nowMs();
      const found = this.#statements.read.get({ ...key, now_ms });
      const added: StoredTurn = { ...turn, createdAtMs: now_ms };
      const turns = JSON.stringify(keptTurns(found?.turns ?? [], added));
      this.#statements.put.run({ ...key, turns, expires_at_ms: now_ms + sessionLimits.keepSeconds * 1000 });
      if (found === undefined) this.#statements.dropOldest.run({ user_id: userId, max: sessionLimits.sessions });
    });
  }

  async forget({ userId, sessionId }: SessionKey): Promise<boolean> {
    const key = { user_id: userId, session_id: sessionId };
    return await this.#database.write(() => {
      const found = this.#statements.read.get({ ...key, now_ms: this.#nowMs() });
      this.#statements.forget.run(key);
      return found !== undefined;
    });
  }

  async forgetAll(userId: string): Promise<number> {
    return await this.#database.write(() => {
      const { count } = this.#statements.count.get({ user_id: userId, now_ms: this.#nowMs() }) ?? { count: 0 };
      this.#statements.forgetAll.run({ user_id: userId });
      return count;
    });
  }

  async sweep(max: number): Promise<number> {
    return await this.#database.writeSoon(() => this.#statements.sweep.run({ now_ms: this.#nowMs(), max }));
  }
}

function prepare(database: Database) {
  const isKey = "user_id = :user_id AND session_id = :session_id";
  const table = "chat_sessions";
  return {
    read: database.query(
      `SELECT turns, expires_at_ms FROM ${table} WHERE ${isKey} AND expires_at_ms > :now_ms`,
      sessionRow,
    ),
    put: database.command(
      `INSERT INTO ${table} (user_id, session_id, turns, expires_at_ms)
       VALUES (:user_id, :session_id, :turns, :expires_at_ms)
       ON CONFLICT DO UPDATE SET turns = excluded.turns, expires_at_ms = excluded.expires_at_ms`,
    ),
    dropOldest: database.command(
      `DELETE FROM ${table} WHERE user_id = :user_id AND session_id IN (
         SELECT session_id FROM ${table} WHERE user_id = :user_id
          ORDER BY expires_at_ms DESC, session_id LIMIT -1 OFFSET :max)`,
    ),
    forget: database.command(`DELETE FROM ${table} WHERE ${isKey}`),
    count: database.query(
      `SELECT count(*) AS count FROM ${table} WHERE user_id = :user_id AND expires_at_ms > :now_ms`,
      z.object({ count: z.number() }),
    ),
    forgetAll: database.command(`DELETE FROM ${table} WHERE user_id = :user_id`),
    sweep: database.command(
      `DELETE FROM ${table} WHERE (user_id, session_id) IN (
         SELECT user_id, session_id FROM ${table} WHERE expires_at_ms <= :now_ms ORDER BY expires_at_ms LIMIT :max)`,
    ),
  };
}
