import { type ChildProcess, fork } from "node:child_process";
import { existsSync } from "node:fs";
import process from "node:process";
import { fileURLToPath } from "node:url";
import type { ExecutorSettings } from "../protocol.ts";
import { killGroup, markVariable } from "../watchdog/processes.ts";
import { executorEnvironment } from "./executor-environment.ts";
import { watchdog } from "./watchdog.ts";

const entry = fileURLToPath(new URL("../child/child.ts", import.meta.url));

/**
 * A new executor process. Whatever it has started dies with it, and it dies with this process.
 *
 * @param stoppedMaxMs how long this process may be stopped (SIGSTOP) until the executor is killed
 * @throws the system's error when it has no process to give
 */
export function forkExecutor(settings: ExecutorSettings, stoppedMaxMs: number): ChildProcess {
  return forkOwned(entry, [JSON.stringify(settings)], stoppedMaxMs);
}

/**
 * A process of this one's own from a module of this project, as {@link forkExecutor} makes it.
 *
 * @throws the system's error when it has no process to give
 */
export function forkOwned(module: string, argumentList: readonly string[], stoppedMaxMs: number): ChildProcess {
  const mark = watchdog.nextMark();
  const child = fork(module, [...argumentList], {
    ...launcher(),
    serialization: "advanced",
    // A process group of its own: Ctrl-C in a terminal reaches the dispatcher alone, which then stops its executors in order.
    detached: true,
    // biome-ignore lint/style/noProcessEnv: nothing is read from it here; it is handed on, without what is secret
    env: { ...executorEnvironment(process.env), [markVariable]: mark },
    // What a handler or a native library prints is no result: the command's standard output stays one JSON document.
    stdio: ["ignore", "pipe", "pipe", "ipc"],
  });
  const { pid } = child;
  if (pid !== undefined) {
    watchdog.watch({ pid, mark, stoppedMaxMs });
    child.once("exit", () => watchdog.ended({ pid, mark }));
  }
  return child;
}

const shell = "/bin/sh";
/** The number's letter differs from shell to shell. Where there is no such limit the environment alone has the mark. */
const setLimit = `ulimit -S -w "$${markVariable}" 2>/dev/null || ulimit -S -x "$${markVariable}" 2>/dev/null`;

/** Node cannot limit itself: a shell does, and becomes it. */
function launcher(): { readonly execPath: string; readonly execArgv: string[] } {
  const { execPath, execArgv } = process;
  if (process.platform !== "linux" || !existsSync(shell)) return { execPath, execArgv };
  return { execPath: shell, execArgv: ["-c", `${setLimit}; exec "$0" "$@"`, execPath, ...execArgv] };
}

/** SIGKILL to the process and all that is in its group. */
export function killExecutor(child: ChildProcess): void {
  if (child.pid === undefined || !killGroup(child.pid)) child.kill("SIGKILL");
}
