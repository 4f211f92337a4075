import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createRequire } from "node:module";
import process from "node:process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { endWithThisProcess } from "../kill.ts";
import { freePort } from "../machine.ts";

/** The edge functions in a real Deno, as one process that can be killed. */
export interface EdgeFunctions {
  /** Their base: `http://127.0.0.1:<port>`; a function is at `/functions/v1/<name>`. */
  readonly url: string;
  /** What they have logged so far, one line each. */
  readonly logs: readonly string[];
  /** Resolves with the first line, past ones included, for which this is true. */
  logged(matches: (line: string) => boolean): Promise<string>;
  /** SIGKILL; resolves when it is gone. */
  kill(): Promise<void>;
  /** Starts them again at the same address, after a kill when they still run. */
  restart(): Promise<void>;
}

export interface EdgeOptions {
  /** All that they see of an environment: SUPABASE_URL, keys, UPSTASH_REDIS_REST_URL … */
  readonly env: Readonly<Record<string, string>>;
  /** Where a door that was started before them looks for them; any free one otherwise. */
  readonly port?: number;
}

const repository = fileURLToPath(new URL("../../../", import.meta.url));

/** The program itself: the package's command is a Node process around it, which a kill would end alone. */
export function denoProgram(): string {
  const installer: { runInstall(): string } = createRequire(import.meta.url)("deno/install_api.cjs");
  return installer.runInstall();
}

/** Packages come from node_modules: nothing is downloaded, and the versions are those of package.json. */
export const denoFlags: readonly string[] = [
  "--config=supabase/functions/deno.json",
  "--node-modules-dir=manual",
  "--no-remote",
  "--no-lock",
];

export async function startEdgeFunctions({ env, port: wanted }: EdgeOptions): Promise<EdgeFunctions> {
  const port = wanted ?? (await freePort());
  const logs: string[] = [];
  const waiting = new Set<() => void>();
  const start = () =>
    startProcess({ ...env, EDGE_PORT: String(port) }, (line) => {
      logs.push(line);
      for (const look of waiting) look();
    });
  let child = await start();
  return {
    url: `http://127.0.0.1:${port}`,
    logs,
    logged: (matches) =>
      new Promise((resolve) => {
        const look = () => {
          const line = logs.find(matches);
          if (line === undefined) return;
          waiting.delete(look);
          resolve(line);
        };
        waiting.add(look);
        look();
      }),
    kill: () => end(child),
    async restart() {
      await end(child);
      child = await start();
    },
  };
}

/** Resolves when the process listens. What it may do is what it needs at Supabase: the network and its environment. */
async function startProcess(
  env: Readonly<Record<string, string>>,
  onLine: (line: string) => void,
): Promise<ChildProcess> {
  const script = "test/support/supabase/edge-server.ts";
  const child = spawn(denoProgram(), ["run", ...denoFlags, "--no-prompt", "--allow-net", "--allow-env", script], {
    cwd: repository,
    env: { ...base(), ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  endWithThisProcess(child, "SIGKILL");
  const lines: string[] = [];
  const listening = new Promise<void>((resolve, reject) => {
    const read = (line: string) => {
      lines.push(line);
      onLine(line);
      if (line.startsWith('{"listening":')) resolve();
    };
    createInterface({ input: child.stdout }).on("line", read);
    createInterface({ input: child.stderr }).on("line", read);
    child.once("error", reject);
    child.once("exit", () => reject(new Error(`deno ended before it listened:\n${lines.join("\n")}`)));
  });
  await listening;
  return child;
}

/** Deno itself needs a place for its caches, and nothing of the machine's settings. */
function base(): Record<string, string> {
  const { PATH = "", HOME = "", DENO_DIR } = process.env;
  return { PATH, HOME, NO_COLOR: "1", DENO_NO_UPDATE_CHECK: "1", ...(DENO_DIR === undefined ? {} : { DENO_DIR }) };
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, "exit");
  child.kill("SIGKILL");
  await exited;
}
