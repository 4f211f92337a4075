import { z } from "zod";
import { emulatedType } from "#runtime/endpoints/endpoint-job.ts";
import type { Database } from "#runtime/lib/database/database.ts";
import { listedRow, storedRow, unreadableRow, writtenRow } from "./outbox-row.ts";

/*
 * The outbox in SQL. Who may do what, and when, is in outbox.ts. The columns:
 *
 *   token             by which the entry is recorded once (`keyOf`)
 *   entry             the entry, as JSON
 *   uploaded          1: its files are stored
 *   reported          1: its callback was taken, or given up
 *   tries, error      of the step that is next: how often it has failed, and of what, as JSON
 *   next_try_at_ms    the row is due from then on
 *   claimed_by        the process that works on it, until
 *   claimed_until_ms  this moment, unless it renews its claim
 */
export type OutboxStatements = ReturnType<typeof prepareOutbox>;

export function prepareOutbox(database: Database) {
  // What is no JSON would be an error of the whole statement.
  const field = (path: string) => `iif(json_valid(entry), json_extract(entry, '$.${path}'), NULL)`;
  const row = "id, entry, uploaded, reported, tries, created_at_ms";
  return {
    insert: database.query(
      `INSERT INTO outbox (token, entry, next_try_at_ms, claimed_by, claimed_until_ms, created_at_ms)
       VALUES (:token, :entry, :now, :owner, :until, :now)
       ON CONFLICT (token) DO UPDATE
         SET claimed_by = iif(claimed_until_ms <= :now, excluded.claimed_by, claimed_by),
             claimed_until_ms = iif(claimed_until_ms <= :now, excluded.claimed_until_ms, claimed_until_ms)
       RETURNING id, nullif(entry, :entry) AS earlier, uploaded, reported, tries, created_at_ms, claimed_by = :owner AS isOwn`,
      writtenRow,
    ),
    claimed: database.query(
      "SELECT id FROM outbox WHERE id = :id AND claimed_by = :owner",
      z.object({ id: z.number() }),
    ),
    claimable: database.query(
      `SELECT id FROM outbox
       WHERE next_try_at_ms <= :now AND (claimed_by = :owner OR claimed_until_ms <= :now)
         AND (reported OR created_at_ms <= :emulated OR ${field("forWebhook")} IS NOT 1
              OR ${field("callback.metadata.job_type")} IS NOT '${emulatedType}')
       ORDER BY id`,
      z.object({ id: z.number() }),
    ),
    read: database.query(`SELECT ${row} FROM outbox WHERE id = :id`, storedRow),
    claim: database.command("UPDATE outbox SET claimed_by = :owner, claimed_until_ms = :until WHERE id = :id"),
    renew: database.command("UPDATE outbox SET claimed_until_ms = :until WHERE claimed_by = :owner"),
    markReported: database.command("UPDATE outbox SET reported = 1 WHERE id = :id"),
    ofJob: database.query(
      `SELECT ${row} FROM outbox WHERE ${field("lease.jobId")} = :job OR instr(token, '/' || :job || '/') > 0`,
      storedRow,
    ),
    giveUp: database.command(
      "UPDATE outbox SET reported = 1, next_try_at_ms = min(next_try_at_ms, :now) WHERE id = :id",
    ),
    markUploaded: database.command("UPDATE outbox SET uploaded = 1, tries = 0, error = NULL WHERE id = :id"),
    postpone: database.command(
      `UPDATE outbox SET next_try_at_ms = :at, tries = tries + :tries, error = coalesce(:error, error),
                         reported = max(reported, :reported)
        WHERE id = :id`,
    ),
    replace: database.command("UPDATE outbox SET entry = :entry, tries = 0, error = NULL WHERE id = :id"),
    wake: database.command(
      `UPDATE outbox SET next_try_at_ms = :now
       WHERE next_try_at_ms > :now AND (claimed_by = :owner OR claimed_until_ms <= :now)`,
    ),
    wakeAll: database.command("UPDATE outbox SET next_try_at_ms = :now WHERE next_try_at_ms > :now"),
    remove: database.command("DELETE FROM outbox WHERE id = :id"),
    removeUnclaimed: database.command("DELETE FROM outbox WHERE id = :id AND claimed_until_ms <= :now"),
    ids: database.query("SELECT id FROM outbox", z.object({ id: z.number() })),
    count: database.query("SELECT count(*) AS count FROM outbox", z.object({ count: z.number() })),
    backlog: database.query(
      "SELECT count(*) AS count, min(created_at_ms) AS oldest FROM outbox",
      z.object({ count: z.number(), oldest: z.number().nullable() }),
    ),
    oldest: database.query(`SELECT ${row}, next_try_at_ms, error FROM outbox ORDER BY id LIMIT :limit`, listedRow),
    unreadable: database.query(`SELECT ${row}, token FROM outbox ORDER BY id LIMIT :limit`, unreadableRow),
    unreadableOne: database.query(`SELECT ${row}, token FROM outbox WHERE id = :id`, unreadableRow),
    idsAfter: database.query(
      "SELECT id FROM outbox WHERE id > :after ORDER BY id LIMIT :limit",
      z.object({ id: z.number() }),
    ),
    between: database.query(`SELECT ${row} FROM outbox WHERE id > :after AND id <= :last ORDER BY id`, storedRow),
    foldersBetween: database.query(
      `SELECT ${field("workFolder")} AS folder FROM outbox WHERE id > :after AND id <= :last`,
      z.object({ folder: z.unknown() }),
    ),
  };
}
