import { DatabaseSync } from "node:sqlite";
import { z } from "zod";

const row = z.object({ integrity_check: z.string() });

/** What SQLite finds wrong with a database that nobody has open; null for one that is sound. Reads all of it, blocking. */
export function databaseProblem(path: string): string | null {
  let connection: DatabaseSync | undefined;
  try {
    connection = new DatabaseSync(path, { readOnly: true });
    const found = row.parse(connection.prepare("PRAGMA integrity_check(1)").get()).integrity_check;
    return found === "ok" ? null : found;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  } finally {
    connection?.close();
  }
}
