import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { endWithThisProcess } from "./kill.ts";
import { findProgram, freePort, installPackage } from "./machine.ts";

/** A real Redis server of its own on a free loopback port. */
export interface TestRedis {
  readonly url: string;
  readonly port: number;
  /** Ends it in order and removes what it wrote. */
  stop(): Promise<void>;
  /** Ends it at once, as a power cut does; what was persisted stays for `restart`. */
  kill(): Promise<void>;
  /** Starts it on the same port and folder, after a `kill` if it still runs; `settings` are added to its configuration. */
  restart(settings?: Readonly<Record<string, string>>): Promise<void>;
}

export interface RedisOptions {
  /** Every write is on disk before it is answered, so that nothing answered is lost by `kill`. */
  readonly persistence?: boolean;
  /** Where it persists; a temporary folder of its own otherwise. Not removed when it is given. */
  readonly folder?: string;
}

const serverNames = ["redis-server", "valkey-server"];
const portAttempts = 5;

export async function startRedis(options: RedisOptions = {}): Promise<TestRedis> {
  const binary = await serverBinary();
  const folder = options.folder ?? (await mkdtemp(join(tmpdir(), "ourvidz-redis-")));
  const { port, server } = await startOnFreePort(binary, folder, options.persistence ?? false);
  let running = server;
  return {
    url: `redis://127.0.0.1:${port}`,
    port,
    async stop() {
      await end(running, "SIGTERM");
      if (options.folder === undefined) await rm(folder, { recursive: true, force: true });
    },
    kill: () => end(running, "SIGKILL"),
    async restart(settings) {
      await end(running, "SIGKILL");
      running = await start(binary, folder, port, options.persistence ?? false, settings);
    },
  };
}

async function startOnFreePort(binary: string, folder: string, persistence: boolean) {
  // Another process may take a free port between its finding and its use.
  for (let attempt = 1; ; attempt++) {
    const port = await freePort();
    try {
      return { port, server: await start(binary, folder, port, persistence) };
    } catch (error) {
      if (attempt === portAttempts) throw error;
    }
  }
}

/** Resolves when the server accepts connections. */
async function start(
  binary: string,
  folder: string,
  port: number,
  persistence: boolean,
  more: Readonly<Record<string, string>> = {},
): Promise<ChildProcess> {
  const settings = {
    port: String(port),
    bind: "127.0.0.1",
    dir: folder,
    save: "",
    appendonly: persistence ? "yes" : "no",
    appendfsync: "always",
    ...more,
  };
  const args = Object.entries(settings).flatMap(([name, value]) => [`--${name}`, value]);
  const server = spawn(binary, args, { stdio: ["ignore", "pipe", "ignore"] });
  endWithThisProcess(server, "SIGKILL");
  const lines: string[] = [];
  for await (const line of createInterface({ input: server.stdout })) {
    lines.push(line);
    if (line.includes("Ready to accept connections")) {
      // What it logs from here on is nobody's, but must not fill the pipe.
      server.stdout.resume();
      return server;
    }
  }
  throw new Error(`${binary} ended before it accepted connections:\n${lines.join("\n")}`);
}

async function end(server: ChildProcess, signal: "SIGTERM" | "SIGKILL"): Promise<void> {
  if (server.exitCode !== null || server.signalCode !== null) return;
  const exited = once(server, "exit");
  server.kill(signal);
  await exited;
}

/** The installed server; on a Debian machine where we are root, it is installed when it is missing. */
async function serverBinary(): Promise<string> {
  const installed = await findServer();
  if (installed !== undefined) return installed;
  await installPackage("redis-server", `a Redis server (one of ${serverNames.join(", ")})`);
  const server = await findServer();
  if (server === undefined)
    throw new Error("The package redis-server is installed, but its server is not on the PATH.");
  return server;
}

async function findServer(): Promise<string | undefined> {
  for (const name of serverNames) {
    const path = await findProgram(name);
    if (path !== undefined) return path;
  }
  return undefined;
}
