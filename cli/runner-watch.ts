import process from "node:process";
import { environmentOf, readStat } from "#runtime/executor/watchdog/proc.ts";

/*
 * npm and npx hand a signal on to the shell that they have started, and the shell dies of it without a word to what it runs:
 * SIGTERM to `npm start` would leave the container running, its port taken. So a command that was started by one of
 * them ends in order when npm, or its shell, is gone. The shell that npm itself was started from is left alone, and so is a
 * plain one: what it starts may be meant to go on without it.
 */
const lookEveryMs = 500;
const maxAncestors = 8;

export interface RunnerWatchOptions {
  /** That of the process. */
  readonly environment?: Readonly<Record<string, string | undefined>>;
  /** Null when there is no such process; Linux alone says it, elsewhere only the parent is watched. */
  readonly parentOf?: (pid: number) => number | null;
  /** As `NAME=value`. */
  readonly environmentOf?: (pid: number) => readonly string[];
}

/** Calls `onGone` once when the npm, npx, yarn or pnpm that has started this process is gone. Returns the way to stop. */
export function watchRunner(onGone: () => void, options: RunnerWatchOptions = {}): () => void {
  const { environment = process.env, parentOf = parentFromProc, environmentOf: variablesOf = environmentOf } = options;
  if (!isRunInForeground(environment.npm_lifecycle_script)) return () => undefined;
  const marks = ["npm_lifecycle_event", "npm_lifecycle_script"].map((name) => `${name}=${environment[name] ?? ""}`);
  // npm gives these variables to what it runs, and has not got them itself, or those of an outer one.
  const isRun = (pid: number) => marks.every((mark) => variablesOf(pid).includes(mark));
  const watched =
    1 +
    Math.max(
      0,
      ancestors(maxAncestors, parentOf).findIndex((pid) => !isRun(pid)),
    );
  const look = () => ancestors(watched, parentOf).join(" ");
  const first = look();
  const timer = setInterval(() => {
    if (look() === first) return;
    clearInterval(timer);
    onGone();
  }, lookEveryMs).unref();
  return () => clearInterval(timer);
}

/** The nearest first. */
function ancestors(max: number, parentOf: (pid: number) => number | null): number[] {
  const found = [process.ppid];
  for (let parent = parentOf(process.ppid); parent !== null && found.length < max; parent = parentOf(parent))
    found.push(parent);
  return found;
}

/** Undefined: npm runs nothing. A script that ends its command with `&` does not wait for it. */
function isRunInForeground(script: string | undefined): boolean {
  return script !== undefined && !/(?:^|[^&>])&(?!&)/.test(script);
}

function parentFromProc(pid: number): number | null {
  return readStat(pid)?.parent ?? null;
}
