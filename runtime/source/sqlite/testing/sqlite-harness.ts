import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Database, databaseFile, openDatabase } from "#runtime/database/database.ts";
import type { Harness } from "../../conformance.ts";
import { sourceMigrations } from "../schema.ts";
import { SqliteSource } from "../sqlite-source.ts";

/* For tests: the embedded source on a new file in a temporary folder, with a clock that is moved by hand. */

const leaseSeconds = 30;

export interface SqliteHarness extends Harness {
  readonly source: SqliteSource;
  readonly database: Database;
  nowMs(): number;
  second(): Promise<{ readonly source: SqliteSource; readonly queue: SqliteSource }>;
}

export async function openHarness(): Promise<SqliteHarness> {
  const folder = mkdtempSync(join(tmpdir(), "ourvidz-source-"));
  const opened: { readonly source: SqliteSource; readonly database: Database }[] = [];
  let clockMs = Date.UTC(2025, 0, 1);
  const nowMs = () => clockMs;

  async function open(workerId: string) {
    const database = await openDatabase(databaseFile(folder), sourceMigrations);
    const source = new SqliteSource(database, { workerId, leaseSeconds, nowMs });
    opened.push({ source, database });
    return { source, queue: source, database };
  }

  return {
    ...(await open("container-1")),
    nowMs,
    async advance(ms) {
      clockMs += ms;
    },
    second: () => open(`container-${opened.length + 1}`),
    async close() {
      for (const { source, database } of opened) {
        await source.close();
        database.close();
      }
      rmSync(folder, { recursive: true });
    },
  };
}
