import { z } from "zod";
import type { Database } from "#runtime/lib/database/database.ts";
import { listedRow, storedRow, unreadableRow, writtenRow } from "./outbox-row.ts";

/*
 * The outbox in SQL. Who may do what, and when, is in outbox.ts. `outbox_entries` has the entries, as JSON, by the numbers of their
 * rows: no claim and no try writes one anew. The columns of `outbox`:
 *
 *   token             by which the entry is recorded once (`keyOf`)
 *   for_emulator      1: the webhook of an emulated endpoint, which others leave to the emulator
 *   payload           the number of what it is sent (outbox-payloads.ts); null where there is no such thing
 *   uploaded          1: its files are stored
 *   reported          1: its callback was taken, or given up
 *   tries, error      of the step that is next: how often it has failed, and of what, as JSON
 *   next_try_at_ms    the row is due from then on
 *   claimed_by        the process that works on it, until
 *   claimed_until_ms  this moment, unless it renews its claim
 */
export type OutboxStatements = ReturnType<typeof prepareOutbox>;

const row = "id, entry, uploaded, reported, tries, created_at_ms";
const rows = "outbox JOIN outbox_entries USING (id)";
const isDue = "next_try_at_ms <= :now AND (claimed_by = :owner OR claimed_until_ms <= :now)";
/** What is no JSON would be an error of the whole statement. */
const field = (path: string) => `iif(json_valid(entry), json_extract(entry, '$.${path}'), NULL)`;

export function prepareOutbox(database: Database) {
  return { ...changesOf(database), ...claimsOf(database), ...readingsOf(database) };
}

function changesOf(database: Database) {
  return {
    insert: database.query(
      `INSERT INTO outbox (token, for_emulator, next_try_at_ms, claimed_by, claimed_until_ms, created_at_ms)
       VALUES (:token, :forEmulator, :now, :claimedBy, :until, :now)
       ON CONFLICT (token) DO UPDATE
         SET claimed_by = iif(claimed_until_ms <= :now, excluded.claimed_by, claimed_by),
             claimed_until_ms = iif(claimed_until_ms <= :now, excluded.claimed_until_ms, claimed_until_ms)
       RETURNING id, uploaded, reported, tries, created_at_ms, claimed_by IS :owner AS isOwn`,
      writtenRow,
    ),
    insertEntry: database.command(
      "INSERT INTO outbox_entries (id, entry) VALUES (:id, :entry) ON CONFLICT (id) DO NOTHING",
    ),
    markReported: database.command("UPDATE outbox SET reported = 1 WHERE id = :id"),
    giveUp: database.command(
      "UPDATE outbox SET reported = 1, next_try_at_ms = min(next_try_at_ms, :now) WHERE id = :id",
    ),
    markUploaded: database.command("UPDATE outbox SET uploaded = 1, tries = 0, error = NULL WHERE id = :id"),
    replace: database.command("UPDATE outbox SET tries = 0, error = NULL WHERE id = :id"),
    replaceEntry: database.command("UPDATE outbox_entries SET entry = :entry WHERE id = :id"),
    remove: database.query(
      "DELETE FROM outbox WHERE id = :id RETURNING payload",
      z.object({ payload: z.number().nullable() }),
    ),
    removeEntry: database.command("DELETE FROM outbox_entries WHERE id = :id"),
  };
}

/** Who works on which row, and when. */
function claimsOf(database: Database) {
  return {
    claimed: database.query(
      "SELECT id FROM outbox WHERE id = :id AND claimed_by = :owner",
      z.object({ id: z.number() }),
    ),
    claimable: database.query(
      `SELECT id, octet_length(entry) AS bytes FROM ${rows}
       WHERE ${isDue} AND (reported OR created_at_ms <= :emulated OR NOT for_emulator)
       ORDER BY id`,
      z.object({ id: z.number(), bytes: z.number() }),
    ),
    readDue: database.query(`SELECT ${row} FROM ${rows} WHERE id = :id AND ${isDue}`, storedRow),
    claim: database.command("UPDATE outbox SET claimed_by = :owner, claimed_until_ms = :until WHERE id = :id"),
    unclaimed: database.query(
      "SELECT id FROM outbox WHERE id = :id AND claimed_until_ms <= :now",
      z.object({ id: z.number() }),
    ),
    renew: database.command("UPDATE outbox SET claimed_until_ms = :until WHERE claimed_by = :owner"),
    postpone: database.command(
      `UPDATE outbox SET next_try_at_ms = :at, tries = tries + :tries, error = coalesce(:error, error),
                         reported = max(reported, :reported)
        WHERE id = :id`,
    ),
    wake: database.command(
      `UPDATE outbox SET next_try_at_ms = :now
       WHERE next_try_at_ms > :now AND (claimed_by = :owner OR claimed_until_ms <= :now)`,
    ),
    wakeAll: database.command("UPDATE outbox SET next_try_at_ms = :now WHERE next_try_at_ms > :now"),
  };
}

function readingsOf(database: Database) {
  return {
    read: database.query(`SELECT ${row} FROM ${rows} WHERE id = :id`, storedRow),
    ofJob: database.query(
      `SELECT ${row} FROM ${rows} WHERE ${field("lease.jobId")} = :job OR instr(token, '/' || :job || '/') > 0`,
      storedRow,
    ),
    ids: database.query("SELECT id FROM outbox", z.object({ id: z.number() })),
    count: database.query("SELECT count(*) AS count FROM outbox", z.object({ count: z.number() })),
    backlog: database.query(
      "SELECT count(*) AS count, min(created_at_ms) AS oldest FROM outbox",
      z.object({ count: z.number(), oldest: z.number().nullable() }),
    ),
    oldest: database.query(`SELECT ${row}, next_try_at_ms, error FROM ${rows} ORDER BY id LIMIT :limit`, listedRow),
    unreadable: database.query(`SELECT ${row}, token FROM ${rows} ORDER BY id LIMIT :limit`, unreadableRow),
    unreadableOne: database.query(`SELECT ${row}, token FROM ${rows} WHERE id = :id`, unreadableRow),
    idsAfter: database.query(
      "SELECT id FROM outbox WHERE id > :after ORDER BY id LIMIT :limit",
      z.object({ id: z.number() }),
    ),
    between: database.query(`SELECT ${row} FROM ${rows} WHERE id > :after AND id <= :last ORDER BY id`, storedRow),
    foldersBetween: database.query(
      `SELECT ${field("workFolder")} AS folder FROM outbox_entries WHERE id > :after AND id <= :last`,
      z.object({ folder: z.unknown() }),
    ),
  };
}
