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
];
