import { type ChildProcess, fork } from "node:child_process";
import { randomInt } from "node:crypto";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { killGroup, killRestNow, markVariable, type Owned } from "../watchdog/processes.ts";
import { executorEnvironment } from "./executor-environment.ts";
import { markOf, owners } from "./marks.ts";

const entry = fileURLToPath(new URL("../watchdog/watchdog.ts", import.meta.url));
const restartAfterMs = 1000;
const pingEveryMs = 1000;
/** How many pings a watchdog may leave unanswered before it is killed: first it has to start. */
const maxUnanswered = { atStart: 30, later: 5 };

export interface WatchedExecutor extends Owned {
  /** How long this process may be stopped (SIGSTOP) until the executor is killed. */
  readonly stoppedMaxMs: number;
}

/** To the watchdog. */
export type ToWatchdog =
  | ({ readonly kind: "started" | "ended" } & WatchedExecutor)
  | { readonly kind: "exiting" | "ping"; readonly pid: number };

/**
 * This process's side of its watchdog (../watchdog/watchdog.ts), which is started with the first executor and again when it
 * was killed, or answers nothing (SIGSTOP). It bears a mark too, so that one that was left behind is found. What can be done at once is done here: groups are killed when an executor ends, and when this process exits.
 *
 *   an executor: running ──it ends──► ended ──the watchdog has killed what it had started──► forgotten
 */
class Watchdog {
  readonly #running = new Map<string, WatchedExecutor>();
  /** The watchdog may be gone with the message that one has ended: the next one is sent it again. */
  readonly #ended = new Map<string, WatchedExecutor>();
  /** Number of this process among those that have executors. */
  readonly owner = randomInt(owners.first, owners.last);
  #serial = 0;
  #child: ChildProcess | null = null;
  #hasAnswered = false;
  #unanswered = 0;
  #pings: NodeJS.Timeout | null = null;
  #hasExitHook = false;

  get pid(): number | null {
    return this.#child?.pid ?? null;
  }

  /** For an executor that is about to be started. */
  nextMark(): string {
    return markOf(this.owner, this.#serial++);
  }

  watch(executor: WatchedExecutor): void {
    if (!this.#hasExitHook) process.once("exit", this.#onExit);
    this.#hasExitHook = true;
    this.#running.set(executor.mark, executor);
    if (this.#child === null) this.#start();
    else this.#send({ kind: "started", ...executor });
  }

  /** The executor's process has ended: what it had started goes too. */
  ended({ mark, pid }: Owned): void {
    const executor = this.#running.get(mark);
    if (executor === undefined) return;
    this.#running.delete(mark);
    this.#ended.set(mark, executor);
    killGroup(pid);
    this.#send({ kind: "ended", ...executor });
  }

  /** Before any hurried exit: nothing waits for the watchdog. A file operation that hangs keeps a process from its end. */
  readonly #onExit = (): void => {
    const left = [...this.#running.values(), ...this.#ended.values()];
    const isDeaf = this.#hasAnswered && this.#unanswered > 1;
    if (isDeaf) this.#child?.kill("SIGKILL");
    const isWatched = this.#child?.connected === true && !isDeaf;
    // Without a watchdog nobody else looks for those that have left the group.
    for (const executor of left) isWatched ? killGroup(executor.pid) : killRestNow(executor);
    this.#send({ kind: "exiting", pid: process.pid });
  };

  #start(): void {
    try {
      const child = fork(entry, [], {
        detached: true,
        // biome-ignore lint/style/noProcessEnv: nothing is read from it here; it is handed on, without what is secret
        env: { ...executorEnvironment(process.env), [markVariable]: this.nextMark() },
        execArgv: ["--max-old-space-size=32"],
        stdio: ["ignore", "ignore", "ignore", "ipc"],
      });
      this.#child = child;
      this.#hasAnswered = false;
      this.#unanswered = 0;
      this.#pings ??= setInterval(() => this.#ping(), pingEveryMs).unref();
      // It ends with this process, and does not keep it.
      child.unref();
      child.channel?.unref();
      child.on("message", (message) => this.#receive(message));
      child.on("error", () => {
        // One that never began has no exit either.
        if (child.pid === undefined && this.#child === child) this.#startAgain();
      });
      child.once("exit", () => this.#startAgain());
      for (const executor of this.#running.values()) this.#send({ kind: "started", ...executor });
      for (const executor of this.#ended.values()) this.#send({ kind: "ended", ...executor });
    } catch {
      // No process to be had: this one does what it can, and tries again.
      this.#startAgain();
    }
  }

  /** Pings are counted, not seconds: this process may have been stopped itself. */
  #ping(): void {
    if (this.#child === null) return;
    const max = this.#hasAnswered ? maxUnanswered.later : maxUnanswered.atStart;
    if (this.#unanswered >= max) this.#child.kill("SIGKILL");
    this.#unanswered++;
    this.#send({ kind: "ping", pid: process.pid });
  }

  #startAgain(): void {
    this.#child = null;
    setTimeout(() => {
      if (this.#child === null && this.#running.size + this.#ended.size > 0) this.#start();
    }, restartAfterMs).unref();
  }

  /** From the watchdog, which is the same code: an executor that has ended, and of which nothing is left; or an answer. */
  #receive(message: unknown): void {
    this.#hasAnswered = true;
    this.#unanswered = 0;
    if (typeof message === "object" && message !== null && "gone" in message) this.#ended.delete(String(message.gone));
  }

  #send(message: ToWatchdog): void {
    if (this.#child?.connected) this.#child.send(message, () => undefined);
  }
}

/** One for all executors of this process. */
export const watchdog = new Watchdog();
