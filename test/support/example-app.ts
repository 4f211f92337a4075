import { spawn } from "node:child_process";
import { once } from "node:events";
import { cp, mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { endWithThisProcess } from "./kill.ts";
import { freePort } from "./machine.ts";

/* The app of examples/next, installed and built in a folder of its own, outside of this project. */

const source = fileURLToPath(new URL("../../examples/next/", import.meta.url));
/** With all that npm is told here: where its registry is, and whom to trust. */
const environment = { ...process.env, NODE_ENV: "production", NEXT_TELEMETRY_DISABLED: "1" };
/** Not what working in that folder has left there. */
const isCopied = (path: string) => !/(^|\/)(node_modules|\.next|\.env\.local)(\/|$)/.test(path.slice(source.length));

export interface ExampleApp {
  readonly url: string;
  /** Names of files for browsers that have this text in them. */
  findInBrowserFiles(text: string): Promise<string[]>;
  stop(): Promise<void>;
}

/** Installs, type-checks and builds the app. Returns its folder. */
export async function installExample(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "ourvidz-example-"));
  await cp(source, folder, { recursive: true, filter: isCopied });
  await run("npm", ["ci", "--include=dev", "--prefer-offline", "--ignore-scripts", "--no-audit", "--no-fund"], folder);
  await run(process.execPath, [nextOf(folder), "build"], folder);
  return folder;
}

/** Its folder goes when it is stopped. */
export async function startExample(folder: string, env: Readonly<Record<string, string>>): Promise<ExampleApp> {
  const port = await freePort();
  const server = spawn(process.execPath, [nextOf(folder), "start", "--hostname", "127.0.0.1", "--port", String(port)], {
    cwd: folder,
    env: { ...environment, ...env },
    stdio: ["ignore", "pipe", "inherit"],
  });
  endWithThisProcess(server, "SIGKILL");
  const ended = once(server, "exit");
  const ready = new Promise<void>((resolve) => {
    server.stdout.on("data", (chunk) => {
      if (String(chunk).includes("Ready in")) resolve();
    });
  });
  const failed = ended.then(([code]) => Promise.reject(new Error(`The app ended with ${code} before it was ready.`)));
  await Promise.race([ready, failed]);
  failed.catch(() => undefined);
  return {
    url: `http://127.0.0.1:${port}`,
    async findInBrowserFiles(text) {
      const files = await filesIn(join(folder, ".next/static"));
      const texts = await Promise.all(files.map(async (path) => [path, await readFile(path, "utf8")] as const));
      return texts.filter(([, content]) => content.includes(text)).map(([path]) => path);
    },
    async stop() {
      server.kill();
      await ended;
      await rm(folder, { recursive: true, force: true });
    },
  };
}

const nextOf = (folder: string) => join(folder, "node_modules/next/dist/bin/next");

async function run(command: string, args: readonly string[], cwd: string): Promise<void> {
  const child = spawn(command, args, { cwd, env: environment, stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk) => (output += chunk));
  const [code] = await once(child, "exit");
  if (code !== 0) throw new Error(`${command} ${args.join(" ")} ended with ${code}:\n${output.slice(-4000)}`);
}

async function filesIn(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .toSorted();
}
