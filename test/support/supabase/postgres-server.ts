import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import { createInterface } from "node:readline";
import { endWithThisProcess } from "../kill.ts";
import { execute, findProgram, installPackage } from "../machine.ts";

/* PostgreSQL's own programs: found or installed, and run as somebody who may. */

export interface Programs {
  readonly initdb: string;
  readonly postgres: string;
}

/** Whom the server runs as; empty: as we do. */
export interface Identity {
  readonly uid?: number;
  readonly gid?: number;
}

export const superuser = "supabase_admin";
/** Debian keeps the server's programs out of the PATH. */
const debianFolder = "/usr/lib/postgresql";

/** On a Debian machine where we are root, the server is installed when it is missing. */
export async function findPrograms(): Promise<Programs> {
  const found = await lookForPrograms();
  if (found !== undefined) return found;
  await installPackage("postgresql", "PostgreSQL 15 or newer (initdb and postgres)");
  const installed = await lookForPrograms();
  if (installed === undefined) throw new Error("The package postgresql is installed, but its server was not found.");
  return installed;
}

async function lookForPrograms(): Promise<Programs | undefined> {
  const versions = await readdir(debianFolder).catch(() => []);
  const newestFirst = versions.toSorted((one, other) => Number(other) - Number(one));
  const folders = newestFirst.map((version) => join(debianFolder, version, "bin"));
  const [initdb, postgres] = await Promise.all([findProgram("initdb", folders), findProgram("postgres", folders)]);
  return initdb === undefined || postgres === undefined ? undefined : { initdb, postgres };
}

/** PostgreSQL refuses to run as root: there it runs as the user that its package has made. */
export function serverIdentity(): Identity {
  if (process.getuid?.() !== 0) return {};
  const idOf = (flag: string) => Number(execFileSync("id", [flag, "postgres"], { encoding: "utf8" }));
  return { uid: idOf("-u"), gid: idOf("-g") };
}

export function versionOf({ postgres }: Programs): string {
  return execFileSync(postgres, ["--version"], { encoding: "utf8" }).trim();
}

export function initialise({ initdb }: Programs, data: string, identity: Identity): Promise<void> {
  const encoding = ["--encoding=UTF8", "--locale=C"];
  const args = ["-D", data, "-U", superuser, "--auth=trust", "--no-sync", "--wal-segsize=1", ...encoding];
  return execute(initdb, args, identity);
}

export interface Place {
  readonly data: string;
  /** Where its socket is. */
  readonly folder: string;
  readonly port: number;
}

/** Resolves when the server accepts connections. */
export async function startServer(
  { postgres }: Programs,
  { data, folder, port }: Place,
  identity: Identity,
): Promise<ChildProcess> {
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
  const server = spawn(postgres, ["-D", data, ...args], { stdio: ["ignore", "ignore", "pipe"], ...identity });
  endWithThisProcess(server, "SIGQUIT");
  const lines: string[] = [];
  for await (const line of createInterface({ input: server.stderr })) {
    lines.push(line);
    if (line.includes("database system is ready to accept connections")) {
      // What it logs from here on is nobody's, but must not fill the pipe.
      server.stderr.resume();
      return server;
    }
  }
  throw new Error(`${postgres} ended before it accepted connections:\n${lines.join("\n")}`);
}

/** SIGINT: in order, so that its folder can be copied. SIGQUIT: at once, as `pg_ctl stop -m immediate`. */
export async function endServer(server: ChildProcess, signal: "SIGINT" | "SIGQUIT"): Promise<void> {
  if (server.exitCode !== null || server.signalCode !== null) return;
  const exited = once(server, "exit");
  server.kill(signal);
  await exited;
}
