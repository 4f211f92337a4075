import { readFileSync } from "node:fs";
import process from "node:process";

/*
 * npm and npx hand a signal on to the shell that they have started, and the shell dies of it without a word to what it runs:
 * SIGTERM to `npm start` would leave the container running, its port taken. So a command that was started by one of
 * them ends in order when npm, or its shell, is gone. A plain shell is left alone: what it starts may be meant to go on
 * without it.
 */
const lookEveryMs = 500;

export interface RunnerWatchOptions {
  /** That of the process. */
  readonly environment?: Readonly<Record<string, string | undefined>>;
  readonly parentOf?: (pid: number) => number | null;
}

/** Calls `onGone` once when the npm, npx, yarn or pnpm that has started this process is gone. Returns the way to stop. */
export function watchRunner(onGone: () => void, options: RunnerWatchOptions = {}): () => void {
  const { environment = process.env, parentOf = parentFromProc } = options;
  if (!isRunInForeground(environment.npm_lifecycle_script)) return () => undefined;
  const ancestors = () => {
    const parent = process.ppid;
    return `${parent} ${parentOf(parent)}`;
  };
  const first = ancestors();
  const timer = setInterval(() => {
    if (ancestors() === first) return;
    clearInterval(timer);
    onGone();
  }, lookEveryMs).unref();
  return () => clearInterval(timer);
}

/** Undefined: npm runs nothing. A script that ends its command with `&` does not wait for it. */
function isRunInForeground(script: string | undefined): boolean {
  return script !== undefined && !/(?:^|[^&>])&(?!&)/.test(script);
}

/** Linux; elsewhere only the shell is watched, which npm's signal ends. Null when there is no such process. */
function parentFromProc(pid: number): number | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    return Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]);
  } catch {
    return null;
  }
}
