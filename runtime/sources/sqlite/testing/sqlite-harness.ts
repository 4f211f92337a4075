import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Database, databaseFile, openDatabase } from "#runtime/lib/database/database.ts";
import { worker } from "#test/conformance/sources/harness.ts";
import type { Harness } from "#test/conformance/sources/index.ts";
import { sourceMigrations } from "../schema.ts";
import { SqliteSource } from "../sqlite-source.ts";

/* For tests: the embedded source on a new file in a temporary folder, with a clock that is moved by hand. */

const leaseSeconds = 30;

interface SqliteSide {
  readonly source: SqliteSource;
  readonly queue: SqliteSource;
  readonly database: Database;
}

export interface SqliteHarness extends Harness, SqliteSide {
  readonly source: SqliteSource;
  readonly queue: SqliteSource;
  nowMs(): number;
  second(): Promise<SqliteSide>;
}

/** @param durable false spares the waits for the disk, for tests that make thousands of changes */
export async function openHarness({ durable = true } = {}): Promise<SqliteHarness> {
  const folder = mkdtempSync(join(tmpdir(), "ourvidz-source-"));
  const opened: SqliteSide[] = [];
  let clockMs = Date.UTC(2025, 0, 1);
  const nowMs = () => clockMs;

  async function open(workerId: string): Promise<SqliteSide> {
    const database = await openDatabase(databaseFile(folder), sourceMigrations);
    if (!durable) database.command("PRAGMA synchronous = OFF").run();
    const source = new SqliteSource(database, { workerId, leaseSeconds, nowMs });
    const side = { source, queue: source, database };
    opened.push(side);
    return side;
  }

  const advance = async (ms: number): Promise<void> => {
    clockMs += ms;
  };
  const first = await open("container-1");
  return {
    ...first,
    nowMs,
    advance,
    grow: advance,
    async fill(jobs) {
      first.database.command("PRAGMA synchronous = OFF").run();
      for (const job of jobs) await first.queue.enqueue(job, { worker });
      first.database.command(`PRAGMA synchronous = ${durable ? "FULL" : "OFF"}`).run();
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
