import type { Migration } from "#runtime/lib/database/migrations.ts";

/** The outbox in the data folder: what its columns mean is in outbox-statements.ts. */
export const outboxMigrations: readonly Migration[] = [
  {
    component: "outbox",
    version: 1,
    sql: `CREATE TABLE outbox (
      id INTEGER PRIMARY KEY,
      token TEXT NOT NULL UNIQUE,
      entry TEXT NOT NULL,
      uploaded INTEGER NOT NULL DEFAULT 0,
      tries INTEGER NOT NULL DEFAULT 0,
      next_try_at_ms INTEGER NOT NULL,
      claimed_by TEXT,
      claimed_until_ms INTEGER NOT NULL DEFAULT 0,
      created_at_ms INTEGER NOT NULL
    ) STRICT`,
  },
  // Why the last try failed, for people: an error report.
  { component: "outbox", version: 2, sql: "ALTER TABLE outbox ADD COLUMN error TEXT CHECK (json_valid(error))" },
  { component: "outbox", version: 3, sql: "ALTER TABLE outbox ADD COLUMN reported INTEGER NOT NULL DEFAULT 0" },
  // Without AUTOINCREMENT the next row would get the number of the last one that was removed, by which it is known to
  // whoever still works on that one.
  {
    component: "outbox",
    version: 4,
    sql: `CREATE TABLE outbox_rows (
      id INTEGER PRIMARY KEY AUTOINCREMENT,
      token TEXT NOT NULL UNIQUE,
      entry TEXT NOT NULL,
      uploaded INTEGER NOT NULL DEFAULT 0,
      tries INTEGER NOT NULL DEFAULT 0,
      next_try_at_ms INTEGER NOT NULL,
      claimed_by TEXT,
      claimed_until_ms INTEGER NOT NULL DEFAULT 0,
      created_at_ms INTEGER NOT NULL,
      error TEXT CHECK (json_valid(error)),
      reported INTEGER NOT NULL DEFAULT 0
    ) STRICT;
    INSERT INTO outbox_rows SELECT id, token, entry, uploaded, tries, next_try_at_ms, claimed_by, claimed_until_ms,
                                   created_at_ms, error, reported FROM outbox;
    DROP TABLE outbox;
    ALTER TABLE outbox_rows RENAME TO outbox;`,
  },
  // The entry, and what a webhook is sent, each in a table of its own: claims and tries change without rewriting them. SQLite
  // takes no JSON of more than 1,000 levels: such an entry stays as it is.
  {
    component: "outbox",
    version: 5,
    sql: `ALTER TABLE outbox ADD COLUMN for_emulator INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE outbox ADD COLUMN payload INTEGER;
    UPDATE outbox SET
      for_emulator = json_extract(entry, '$.forWebhook') IS 1
                     AND json_extract(entry, '$.callback.metadata.job_type') IS 'runpod_job',
      payload = iif(json_type(entry, '$.endpoint.input') IS 'object', id, NULL)
    WHERE json_valid(entry);
    CREATE TABLE outbox_payloads (id INTEGER PRIMARY KEY, payload TEXT NOT NULL) STRICT;
    INSERT INTO outbox_payloads
      SELECT id, json_remove(json_extract(entry, '$.endpoint'), '$.url', '$.requestId')
      FROM outbox WHERE payload IS NOT NULL;
    CREATE TABLE outbox_entries (id INTEGER PRIMARY KEY, entry TEXT NOT NULL) STRICT;
    INSERT INTO outbox_entries
      SELECT id, iif(payload IS NULL, entry, json_remove(entry, '$.endpoint.input', '$.endpoint.posted')) FROM outbox;
    ALTER TABLE outbox DROP COLUMN entry;
    CREATE INDEX outbox_by_payload ON outbox (payload) WHERE payload IS NOT NULL;`,
  },
];
