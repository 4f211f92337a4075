import { type ChildProcess, spawn } from "node:child_process";
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { afterAll } from "vitest";

/* Runs the command as people do: a process of its own, with its real exit code and output. */
const entry = fileURLToPath(new URL("../ourvidz.js", import.meta.url));
export const fixtureHandlers = fileURLToPath(new URL("../fixtures/handlers", import.meta.url));

export interface CliResult {
  readonly exitCode: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface CliProcess {
  readonly child: ChildProcess;
  readonly ended: Promise<CliResult>;
  /** Resolves when standard error or output contains the text; rejects when the process ends before that. */
  seen(text: string | RegExp): Promise<void>;
}

const folders: string[] = [];
const children: ChildProcess[] = [];

afterAll(async () => {
  for (const child of children) child.kill("SIGKILL");
  for (const folder of folders) await rm(folder, { recursive: true, force: true, maxRetries: 3 });
});

/** A temporary folder that goes when the file's tests are over. */
export async function temporaryFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "ourvidz-cli-test-"));
  folders.push(folder);
  return folder;
}

/** A models folder with the model that the job type "break" needs: without it, no job of that type is begun. */
export async function withSledge(): Promise<Record<string, string>> {
  const models = await temporaryFolder();
  await mkdir(join(models, "sledge"));
  return { MODELS_DIR: models };
}

/**
 * Everything that the command may touch lies in `folder`: its data, its temporary files and its working folder.
 *
 * @param env on top of an environment without any of the project's variables
 */
export function startCli(folder: string, args: readonly string[], env: Record<string, string> = {}): CliProcess {
  return startProcess(folder, [process.execPath, entry, ...args], { env, stdin: "ignore" });
}

/** Node has no terminals of its own. What is written to the process's standard input is typed. */
const terminal = "import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))";

/** As {@link startCli}, on a terminal: both outputs are one. */
export function startCliOnTerminal(
  folder: string,
  args: readonly string[],
  env: Record<string, string> = {},
): CliProcess {
  const command = ["python3", "-c", terminal, process.execPath, entry, ...args];
  return startProcess(folder, command, { env, stdin: "pipe" });
}

/** As {@link startCli}, with something piped in. */
export function startCliReading(
  folder: string,
  args: readonly string[],
  input: string,
  env: Record<string, string> = {},
) {
  const started = startProcess(folder, [process.execPath, entry, ...args], { env, stdin: "pipe" });
  started.child.stdin?.end(input);
  return started;
}

interface ProcessOptions {
  readonly env: Record<string, string>;
  readonly stdin: "ignore" | "pipe";
}

function startProcess(
  folder: string,
  [file = "", ...args]: readonly string[],
  { env, stdin }: ProcessOptions,
): CliProcess {
  const child = spawn(file, args, {
    cwd: folder,
    env: {
      PATH: process.env.PATH,
      HOME: folder,
      TMPDIR: folder,
      DATA_DIR: join(folder, "data"),
      HANDLERS_DIR: fixtureHandlers,
      MODELS_DIR: folder,
      ...env,
    },
    stdio: [stdin, "pipe", "pipe"],
  });
  children.push(child);
  const output = { stdout: "", stderr: "" };
  const waiting = new Set<() => void>();
  for (const name of ["stdout", "stderr"] as const) {
    child[name]?.setEncoding("utf8").on("data", (chunk: string) => {
      output[name] += chunk;
      for (const look of waiting) look();
    });
  }
  const { promise: ended, resolve } = Promise.withResolvers<CliResult>();
  child.once("close", (exitCode, signal) => {
    resolve({ exitCode, signal, ...output });
    for (const look of waiting) look();
  });
  const seen = (text: string | RegExp) =>
    new Promise<void>((found, missed) => {
      const look = () => {
        const all = output.stdout + output.stderr;
        if (typeof text === "string" ? all.includes(text) : text.test(all)) found();
        else if (child.exitCode !== null) missed(new Error(`the command ended without "${text}":\n${all}`));
        else return;
        waiting.delete(look);
      };
      waiting.add(look);
      look();
    });
  return { child, ended, seen };
}

export function runCli(folder: string, args: readonly string[], env: Record<string, string> = {}): Promise<CliResult> {
  return startCli(folder, args, env).ended;
}
