import type { DatabaseSync } from "node:sqlite";
import { z } from "zod";
import { CodedError } from "#contract/errors.ts";

/*
 * One file, several components, each with tables and a history of its own: `schema_versions` has one row a component,
 * so that a component can be added or changed without the others knowing. `PRAGMA user_version` counts changes of
 * that bookkeeping itself.
 */

/** One step of a component's schema. A component exports its steps as a list; a step that was released never changes. */
export interface Migration {
  /** Owner of the tables: `source`, `delivery`. */
  readonly component: string;
  /** 1, 2, 3 … without gaps within the component. */
  readonly version: number;
  /** One or more statements; they run inside the transaction of the whole migration. */
  readonly sql: string;
}

const bookkeepingVersion = 1;

const bookkeeping = `
  CREATE TABLE schema_versions (
    component TEXT NOT NULL PRIMARY KEY,
    version   INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;
  PRAGMA user_version = ${bookkeepingVersion};
`;

const userVersionRow = z.object({ user_version: z.number() });
const componentRow = z.object({ component: z.string(), version: z.number() });

/**
 * Brings every component's tables to its newest version. Runs inside the caller's transaction, so that two processes
 * that start at once do not both migrate, and a migration that fails half-way leaves the file as it was.
 *
 * @throws CodedError DATA_FOLDER_UNUSABLE when the file was written by newer code than this
 */
export function migrate(connection: DatabaseSync, path: string, migrations: readonly Migration[]): void {
  const found = userVersionRow.parse(connection.prepare("PRAGMA user_version").get()).user_version;
  if (found > bookkeepingVersion) throw newerFile(path, "file layout", found, bookkeepingVersion);
  if (found === 0) connection.exec(bookkeeping);

  const versions = new Map(
    z
      .array(componentRow)
      .parse(connection.prepare("SELECT component, version FROM schema_versions").all())
      .map((row) => [row.component, row.version]),
  );
  const setVersion = connection.prepare(
    `INSERT INTO schema_versions (component, version) VALUES (?, ?)
     ON CONFLICT (component) DO UPDATE SET version = excluded.version`,
  );
  for (const [component, steps] of byComponent(migrations)) {
    const current = versions.get(component) ?? 0;
    if (current > steps.length) throw newerFile(path, component, current, steps.length);
    for (const step of steps.slice(current)) connection.exec(step.sql);
    if (current < steps.length) setVersion.run(component, steps.length);
  }
}

function byComponent(migrations: readonly Migration[]): Map<string, Migration[]> {
  const components = Map.groupBy(migrations, (migration) => migration.component);
  for (const [component, steps] of components) {
    steps.sort((a, b) => a.version - b.version);
    if (steps.some((step, index) => step.version !== index + 1)) {
      throw new Error(`migrations of "${component}" must be numbered 1, 2, 3 … without gaps or repeats`);
    }
  }
  return components;
}

function newerFile(path: string, what: string, found: number, known: number): CodedError {
  return new CodedError(
    "DATA_FOLDER_UNUSABLE",
    `The database ${path} was written by a newer version of this program (${what} ${found}, known up to ${known}): ` +
      "update the program, or set DATA_DIR to another folder.",
    { details: { path, found, known } },
  );
}
