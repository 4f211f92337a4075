import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { chown, mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { createInterface } from "node:readline";
import { Client, Pool, type PoolClient } from "pg";
import { execute, findProgram, freePort, installPackage } from "../machine.ts";
import { migrate, type Query, type Row, readMigrations, readPlatform, type TestDatabase } from "./database.ts";

/** A real PostgreSQL of its own on a free loopback port, with what a Supabase project has and our migrations. */
export interface TestPostgres {
  readonly port: number;
  /** As the owner of the database: `postgres`, which at Supabase is no superuser. */
  readonly database: TestDatabase;
  /** Another pool of connections, as the REST API has them (role `authenticator`); for `door.ts`. */
  readonly api: TestDatabase;
  /** `pg_ctl restart -m immediate`: every connection is cut, nothing that was committed is lost. */
  restart(): Promise<void>;
  stop(): Promise<void>;
}

export interface PostgresOptions {
  /** Off: a project without our tables, for tests of the migrations themselves. */
  readonly migrated?: boolean;
}

const superuser = "supabase_admin";
const databaseName = "postgres";
/** Debian keeps the server's programs out of the PATH. */
const debianFolder = "/usr/lib/postgresql";

export async function startPostgres({ migrated = true }: PostgresOptions = {}): Promise<TestPostgres> {
  const binaries = await programs();
  const identity = serverIdentity();
  const folder = await mkdtemp(join(tmpdir(), "ourvidz-postgres-"));
  if (identity.uid !== undefined) await chown(folder, identity.uid, identity.gid ?? identity.uid);
  const data = join(folder, "data");
  const initialise = ["-D", data, "-U", superuser, "--auth=trust", "--no-sync", "--encoding=UTF8", "--locale=C"];
  await execute(binaries.initdb, initialise, identity);
  const port = await freePort();
  const start = () => startServer(binaries.postgres, { data, folder, port }, identity);
  let server = await start();
  await makeProject(port, migrated);
  const owner = openPool(port, "postgres");
  const api = openPool(port, "authenticator");
  return {
    port,
    database: owner.database,
    api: api.database,
    async restart() {
      await end(server, "SIGQUIT");
      server = await start();
    },
    async stop() {
      await Promise.all([owner.close(), api.close()]);
      await end(server, "SIGQUIT");
      await rm(folder, { recursive: true, force: true });
    },
  };
}

interface Place {
  readonly data: string;
  readonly folder: string;
  readonly port: number;
}

interface Identity {
  readonly uid?: number;
  readonly gid?: number;
}

/** Resolves when the server accepts connections. */
async function startServer(binary: string, { data, folder, port }: Place, identity: Identity): Promise<ChildProcess> {
  const settings = {
    port: String(port),
    listen_addresses: "127.0.0.1",
    unix_socket_directories: folder,
    fsync: "off",
    wal_level: "logical",
    max_connections: "60",
    log_min_messages: "log",
  };
  const args = Object.entries(settings).flatMap(([name, value]) => ["-c", `${name}=${value}`]);
  const server = spawn(binary, ["-D", data, ...args], { stdio: ["ignore", "ignore", "pipe"], ...identity });
  const endWithParent = (): void => void server.kill("SIGQUIT");
  process.once("exit", endWithParent);
  server.once("exit", () => process.off("exit", endWithParent));
  const lines: string[] = [];
  for await (const line of createInterface({ input: server.stderr })) {
    lines.push(line);
    if (line.includes("database system is ready to accept connections")) {
      // What it logs from here on is nobody's, but must not fill the pipe.
      server.stderr.resume();
      return server;
    }
  }
  throw new Error(`${binary} ended before it accepted connections:\n${lines.join("\n")}`);
}

async function end(server: ChildProcess, signal: "SIGINT" | "SIGQUIT"): Promise<void> {
  if (server.exitCode !== null || server.signalCode !== null) return;
  const exited = once(server, "exit");
  server.kill(signal);
  await exited;
}

/** The roles of a Supabase project: `postgres` owns the app's tables and is no superuser. */
async function makeProject(port: number, migrated: boolean): Promise<void> {
  const admin = await connect(port, superuser);
  try {
    await admin.query("create role postgres login createdb createrole bypassrls");
    await admin.query("alter database postgres owner to postgres; alter schema public owner to postgres");
    await admin.query(await readPlatform());
    // At Supabase an extension lets postgres make policies on a table that it does not own.
    await admin.query("alter table storage.objects owner to postgres");
    await admin.query("alter publication supabase_realtime owner to postgres");
  } finally {
    await admin.end();
  }
  if (!migrated) return;
  const owner = await connect(port, "postgres");
  try {
    await migrate((script) => owner.query(script), await readMigrations());
  } finally {
    await owner.end();
  }
}

async function connect(port: number, name: string): Promise<Client> {
  const client = new Client({ host: "127.0.0.1", port, user: name, database: databaseName });
  await client.connect();
  return client;
}

function openPool(port: number, name: string): { readonly database: TestDatabase; close(): Promise<void> } {
  const pool = new Pool({ host: "127.0.0.1", port, user: name, database: databaseName, max: 20 });
  // A connection that the server cut while nobody used it: the next query opens another.
  pool.on("error", () => undefined);
  const query = async (text: string, values?: readonly unknown[]): Promise<Row[]> => {
    const { rows } = await pool.query<Row>(text, values === undefined ? undefined : [...values]);
    return rows;
  };
  return {
    database: { query, transaction: (body) => inTransaction(pool, body) },
    close: () => pool.end(),
  };
}

async function inTransaction<Result>(pool: Pool, body: (query: Query) => Promise<Result>): Promise<Result> {
  const client: PoolClient = await pool.connect();
  // Cut in the middle: the query that is under way is told of it too.
  const ignore = (): void => undefined;
  client.on("error", ignore);
  let broken: Error | undefined;
  try {
    await client.query("begin");
    const result = await body(async (text, values) => {
      const { rows } = await client.query<Row>(text, values === undefined ? undefined : [...values]);
      return rows;
    });
    await client.query("commit");
    return result;
  } catch (error) {
    await client.query("rollback").catch((failure: Error) => {
      broken = failure;
    });
    throw error;
  } finally {
    client.off("error", ignore);
    client.release(broken);
  }
}

/** PostgreSQL refuses to run as root: there it runs as the user that its package has made. */
function serverIdentity(): Identity {
  if (process.getuid?.() !== 0) return {};
  const idOf = (flag: string) => Number(execFileSync("id", [flag, "postgres"], { encoding: "utf8" }));
  return { uid: idOf("-u"), gid: idOf("-g") };
}

async function programs(): Promise<{ readonly initdb: string; readonly postgres: string }> {
  const found = await findPrograms();
  if (found !== undefined) return found;
  await installPackage("postgresql", "PostgreSQL 15 or newer (initdb and postgres)");
  const installed = await findPrograms();
  if (installed === undefined) throw new Error("The package postgresql is installed, but its server was not found.");
  return installed;
}

async function findPrograms() {
  const versions = await readdir(debianFolder).catch(() => []);
  const folders = versions
    .toSorted((one, other) => Number(other) - Number(one))
    .map((version) => join(debianFolder, version, "bin"));
  const [initdb, postgres] = await Promise.all([findProgram("initdb", folders), findProgram("postgres", folders)]);
  return initdb === undefined || postgres === undefined ? undefined : { initdb, postgres };
}
