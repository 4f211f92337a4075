import { createHash, randomUUID } from "node:crypto";
import { access, chown, mkdir, mkdtemp, rename, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Client, Pool, type PoolClient } from "pg";
import { execute, freePort } from "../machine.ts";
import { roomyMemoryFolder } from "../memory-folder.ts";
import { migrate, type Query, type Row, readMigrations, readPlatform, type TestDatabase } from "./database.ts";
import {
  endServer,
  findPrograms,
  type Identity,
  initialise,
  type Programs,
  serverIdentity,
  startServer,
  superuser,
  versionOf,
} from "./postgres-server.ts";

/** A real PostgreSQL of its own on a free loopback port, with what a Supabase project has and our migrations. */
export interface TestPostgres {
  readonly port: number;
  /** As the owner of the database: `postgres`, which at Supabase is no superuser. */
  readonly database: TestDatabase;
  /** Another pool of connections, as the REST API has them (role `authenticator`); for `door.ts`. */
  readonly api: TestDatabase;
  /** Another project's database on the same server, without our tables: for tests of the migrations themselves. */
  emptyDatabase(): Promise<EmptyDatabase>;
  /** `pg_ctl restart -m immediate`: every connection is cut, nothing that was committed is lost. */
  restart(): Promise<void>;
  stop(): Promise<void>;
}

export interface EmptyDatabase extends TestDatabase {
  /** As the REST API connects to it. */
  readonly api: TestDatabase;
}

const databaseName = "postgres";
const cacheFolder = fileURLToPath(new URL("../../../node_modules/.cache/ourvidz/", import.meta.url));

export async function startPostgres(): Promise<TestPostgres> {
  const programs = await findPrograms();
  const identity = serverIdentity();
  const prepared = await preparedData(programs, identity);
  const folder = await serverFolder(identity);
  const data = join(folder, "data");
  await copy(prepared, data);
  const port = await freePort();
  const start = () => startServer(programs, { data, folder, port }, identity);
  let server = await start();
  const owner = openPool(port, "postgres");
  const api = openPool(port, "authenticator");
  const others: OpenPool[] = [];
  return {
    port,
    database: owner.database,
    api: api.database,
    async emptyDatabase() {
      const name = `project_${others.length}`;
      await asAdmin(port, databaseName, (query) => query(`create database ${name} owner postgres template template0`));
      await makeProject(port, name);
      const pool = openPool(port, "postgres", name);
      const apiPool = openPool(port, "authenticator", name);
      others.push(pool, apiPool);
      return { ...pool.database, api: apiPool.database };
    },
    async restart() {
      await endServer(server, "SIGQUIT");
      server = await start();
    },
    async stop() {
      await Promise.all([owner, api, ...others].map((pool) => pool.close()));
      await endServer(server, "SIGQUIT");
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** Installs the server where it is missing, and prepares its folder, so that no test's time runs out with it. */
export async function preparePostgres(): Promise<void> {
  await preparedData(await findPrograms(), serverIdentity());
}

/**
 * A server's folder with the migrated project in it, made once for all test files and made anew when a migration or the
 * server changes: copying it is much quicker.
 */
async function preparedData(programs: Programs, identity: Identity): Promise<string> {
  const migrations = await readMigrations();
  const hash = createHash("sha256")
    .update(versionOf(programs))
    .update(String(identity.uid ?? ""));
  for (const text of [await readPlatform(), ...migrations.map((migration) => migration.text)]) hash.update(text);
  const prepared = join(cacheFolder, `postgres-${hash.digest("hex").slice(0, 16)}`);
  if (await exists(prepared)) return prepared;
  const folder = await serverFolder(identity);
  const data = join(folder, "data");
  await initialise(programs, data, identity);
  const port = await freePort();
  const server = await startServer(programs, { data, folder, port }, identity);
  await asAdmin(port, databaseName, (query) => query("create role postgres login createdb createrole bypassrls"));
  await makeProject(port, databaseName);
  const owner = await connect(port, "postgres", databaseName);
  await migrate((script) => owner.query(script), migrations);
  await owner.end();
  await endServer(server, "SIGINT");
  await mkdir(cacheFolder, { recursive: true });
  const copied = join(cacheFolder, randomUUID());
  await copy(data, copied);
  await rm(folder, { recursive: true, force: true });
  // Another test file may have been quicker; its folder is as good.
  await rename(copied, prepared).catch(() => rm(copied, { recursive: true, force: true }));
  return prepared;
}

/** What the platform gives a project, in this database. */
function makeProject(port: number, name: string): Promise<void> {
  return asAdmin(port, name, async (query) => {
    await query(`alter database ${name} owner to postgres`);
    await query("alter schema public owner to postgres");
    await query(await readPlatform());
    // At Supabase an extension lets postgres make policies on a table that it does not own.
    await query("alter table storage.objects owner to postgres");
    await query("alter publication supabase_realtime owner to postgres");
  });
}

/** Keeps owners and modes, on which the server insists. */
function copy(from: string, to: string): Promise<void> {
  return execute("cp", ["-a", "--reflink=auto", from, to]);
}

/** In memory where there is plenty of it: the thousand files of a server are what its start costs. */
async function serverFolder({ uid, gid }: Identity): Promise<string> {
  const folder = await mkdtemp(join((await roomyMemoryFolder()) ?? tmpdir(), "ourvidz-postgres-"));
  if (uid !== undefined) await chown(folder, uid, gid ?? uid);
  return folder;
}

function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}

async function asAdmin(
  port: number,
  database: string,
  body: (query: (statement: string) => Promise<unknown>) => Promise<unknown>,
): Promise<void> {
  const admin = await connect(port, superuser, database);
  try {
    await body((statement) => admin.query(statement));
  } finally {
    await admin.end();
  }
}

async function connect(port: number, name: string, database: string): Promise<Client> {
  const client = new Client({ host: "127.0.0.1", port, user: name, database });
  await client.connect();
  return client;
}

interface OpenPool {
  readonly database: TestDatabase;
  close(): Promise<void>;
}

function openPool(port: number, name: string, database: string = databaseName): OpenPool {
  const pool = new Pool({ host: "127.0.0.1", port, user: name, database, max: 20 });
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
