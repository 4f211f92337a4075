import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** A container as users start it: `ourvidz start` in a process of its own, on a temporary data folder. */
export interface BenchContainer {
  readonly process: ChildProcess;
  readonly url: string;
  readonly folder: string;
  stop(): Promise<void>;
}

const cli = fileURLToPath(new URL("../../cli/ourvidz.js", import.meta.url));
export const testHandlers = fileURLToPath(new URL("../../test/support/handlers", import.meta.url));

export function temporaryFolder(): Promise<string> {
  return mkdtemp(join(tmpdir(), "ourvidz-bench-"));
}

/** Starts the process without waiting for anything. */
export function spawnContainer(
  folder: string,
  env: Record<string, string> = {},
  { detached = false } = {},
): ChildProcess {
  return spawn(process.execPath, [cli, "start"], {
    env: { PATH: process.env.PATH, DATA_DIR: folder, PORT: "0", LOG_LEVEL: "info", LOG_FORMAT: "json", ...env },
    stdio: ["ignore", "pipe", "pipe"],
    detached,
  });
}

/** Starts a container and waits until its HTTP server says where it listens. */
export async function startContainer(env: Record<string, string> = {}): Promise<BenchContainer> {
  const folder = await temporaryFolder();
  const child = spawnContainer(folder, env);
  const url = await addressOf(child);
  return {
    process: child,
    url,
    folder,
    async stop() {
      child.kill("SIGTERM");
      await once(child, "exit");
      await rm(folder, { recursive: true, force: true });
    },
  };
}

function addressOf(child: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = "";
    const look = (chunk: Buffer) => {
      text += chunk.toString();
      const found = /http:\/\/127\.0\.0\.1:\d+/.exec(text);
      if (found) resolve(found[0]);
    };
    child.stdout?.on("data", look);
    child.stderr?.on("data", look);
    child.once("exit", (code) => reject(new Error(`the container ended with ${code}:\n${text}`)));
  });
}

/** Resident memory of one process in MiB, from the kernel. */
export async function residentMiB(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, "utf8");
  return Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1] ?? Number.NaN) / 1024;
}
