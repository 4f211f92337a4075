import { type ChildProcess, fork } from "node:child_process";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { killGroup, type Owned } from "../watchdog/processes.ts";
import { executorEnvironment } from "./executor-environment.ts";

const entry = fileURLToPath(new URL("../watchdog/watchdog.ts", import.meta.url));
const restartAfterMs = 1000;

export interface WatchedExecutor extends Owned {
  /** How long this process may be stopped (SIGSTOP) until the executor is killed. */
  readonly stoppedMaxMs: number;
}

/**
 * This process's side of its watchdog (../watchdog/watchdog.ts), which is started with the first executor and again when it
 * was killed. What can be done at once is done here: groups are killed when an executor ends, and when this process exits.
 */
class Watchdog {
  readonly #executors = new Map<number, WatchedExecutor>();
  #child: ChildProcess | null = null;
  #hasExitHook = false;

  get pid(): number | null {
    return this.#child?.pid ?? null;
  }

  watch(executor: WatchedExecutor): void {
    if (!this.#hasExitHook) process.once("exit", this.#onExit);
    this.#hasExitHook = true;
    this.#executors.set(executor.pid, executor);
    if (this.#child === null) this.#start();
    else this.#send({ kind: "started", ...executor });
  }

  /** The executor's process has ended: what it had started goes too. */
  ended(pid: number): void {
    if (!this.#executors.delete(pid)) return;
    killGroup(pid);
    this.#send({ kind: "ended", pid });
  }

  /** Before any hurried exit: nothing waits for the watchdog. A file operation that hangs keeps a process from its end. */
  readonly #onExit = (): void => {
    for (const pid of this.#executors.keys()) killGroup(pid);
    this.#send({ kind: "exiting", pid: process.pid });
  };

  #start(): void {
    try {
      const child = fork(entry, [], {
        detached: true,
        // biome-ignore lint/style/noProcessEnv: nothing is read from it here; it is handed on, without what is secret
        env: executorEnvironment(process.env),
        execArgv: ["--max-old-space-size=32"],
        stdio: ["ignore", "ignore", "ignore", "ipc"],
      });
      this.#child = child;
      // It ends with this process, and does not keep it.
      child.unref();
      child.channel?.unref();
      child.on("error", () => {
        // One that never began has no exit either.
        if (child.pid === undefined && this.#child === child) this.#startAgain();
      });
      child.once("exit", () => this.#startAgain());
      for (const executor of this.#executors.values()) this.#send({ kind: "started", ...executor });
    } catch {
      // No process to be had: this one does what it can, and tries again.
      this.#startAgain();
    }
  }

  #startAgain(): void {
    this.#child = null;
    setTimeout(() => {
      if (this.#child === null && this.#executors.size > 0) this.#start();
    }, restartAfterMs).unref();
  }

  #send(
    message:
      | ({ readonly kind: "started" } & WatchedExecutor)
      | { readonly kind: "ended" | "exiting"; readonly pid: number },
  ): void {
    if (this.#child?.connected) this.#child.send(message, () => undefined);
  }
}

/** One for all executors of this process. */
export const watchdog = new Watchdog();
