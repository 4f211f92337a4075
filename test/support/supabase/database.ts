import { readdir, readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";

/** What the tests ask of a database, real PostgreSQL or PGlite. */
export interface TestDatabase {
  query: Query;
  /** Runs `body` on one connection, in a transaction that ends with it. */
  transaction<Result>(body: (query: Query) => Promise<Result>): Promise<Result>;
}

export type Row = Readonly<Record<string, unknown>>;
export type Query = (text: string, values?: readonly unknown[]) => Promise<Row[]>;

/**
 * Empties these tables, and what belongs to their rows, between tests. A truncate makes new files for each of their indexes,
 * which takes fifty times as long as the few rows of a test.
 */
export async function emptyTables(query: Query, tables: readonly string[]): Promise<void> {
  for (const table of tables) await query(`delete from ${table}`);
}

/** Runs a whole script of several statements. */
export type Execute = (script: string) => Promise<unknown>;

export interface Migration {
  readonly name: string;
  readonly text: string;
}

const migrationsFolder = fileURLToPath(new URL("../../../supabase/migrations/", import.meta.url));
const platformFile = fileURLToPath(new URL("platform.sql", import.meta.url));

export async function readMigrations(): Promise<Migration[]> {
  const names = (await readdir(migrationsFolder)).filter((name) => name.endsWith(".sql")).toSorted();
  return Promise.all(names.map(async (name) => ({ name, text: await readFile(migrationsFolder + name, "utf8") })));
}

/** What a Supabase project has before its first migration. */
export function readPlatform(): Promise<string> {
  return readFile(platformFile, "utf8");
}

/** Each migration in a transaction of its own, as the Supabase CLI runs them. */
export async function migrate(execute: Execute, migrations: readonly Migration[]): Promise<void> {
  for (const { name, text } of migrations) {
    try {
      await execute(`begin;\n${text}\ncommit;`);
    } catch (error) {
      await execute("rollback").catch(() => undefined);
      throw new Error(`The migration ${name} failed: ${error instanceof Error ? error.message : error}`, {
        cause: error,
      });
    }
  }
}

/** How the REST API calls a function or reads a table: as this role, with these claims. */
export interface Caller {
  readonly role: "anon" | "authenticated" | "service_role";
  /** Of a signed-in user. */
  readonly userId?: string;
}

export const service: Caller = { role: "service_role" };
export const anonymous: Caller = { role: "anon" };

export function user(userId: string): Caller {
  return { role: "authenticated", userId };
}

/** Runs `body` as the REST API does: role and claims hold for the transaction. */
export function asCaller<Result>(
  database: TestDatabase,
  { role, userId }: Caller,
  body: (query: Query) => Promise<Result>,
): Promise<Result> {
  return database.transaction(async (query) => {
    const claims = JSON.stringify({ role, ...(userId === undefined ? {} : { sub: userId }) });
    await query("select set_config('request.jwt.claims', $1, true), set_config('role', $2, true)", [claims, role]);
    return body(query);
  });
}
