import type { ChildProcess } from "node:child_process";
import { EventEmitter } from "node:events";
import type { ErrorReport } from "#contract/errors.ts";
import type { HandlerProblem } from "#runtime/job-types/registry.ts";
import { within } from "#runtime/lib/within.ts";
import type { Logger } from "#runtime/observe/log.ts";
import {
  type ExecutorSettings,
  type ExecutorTask,
  type FromAttempt,
  fromExecutor,
  type ToExecutor,
} from "../protocol.ts";
import type { AttemptOutput } from "./attempt-output.ts";
import { forkExecutor, killExecutor } from "./fork-executor.ts";
import { ProcessOutput } from "./process-output.ts";
import { RestartPause } from "./restart-pause.ts";
import { SuspensionWatch } from "./suspension-watch.ts";

/*
 * The life of one executor's process, whatever runs in it.
 *
 *   stopped ──start──► starting ──ready──► ready
 *                         │ exit             │ exit
 *                         └───► waiting ◄────┘
 *                                 └── after a pause (restart-pause.ts) ──► starting
 *   any ──stop──► stopping ──exit──► stopped
 *   any ──restart──► (its task ends, and no other one is given) ──stop──► stopped ──► starting
 */
export type ProcessState = "starting" | "ready" | "waiting" | "stopping" | "stopped";

export interface ProcessExit {
  /** Whether the process had been ready. */
  readonly wasReady: boolean;
  readonly exitCode: number | null;
  readonly signal: string | null;
  /** It died of having been stopped for too long, or of this process having been: see suspension-watch.ts. */
  readonly wasSuspended: boolean;
  /** The last lines that it printed. */
  readonly lastOutput: string;
  /** Pause until the next one is started; null when the end was requested. */
  readonly restartInMs: number | null;
}

interface SupervisorEvents {
  /** The state has changed. */
  state: [ProcessState];
  /** A message of an attempt. */
  message: [FromAttempt];
  /** A message in a form that is not understood. */
  unreadable: [unknown];
  exit: [ProcessExit];
}

export interface SupervisorOptions {
  readonly settings: ExecutorSettings;
  readonly log: Logger;
  readonly restartMaxMs: number;
  /** How long this process, or the executor, may be stopped (SIGSTOP) until the executor is killed. */
  readonly stoppedMaxMs: number;
  readonly fork?: typeof forkExecutor;
}

/** How long a killed process may take to be gone. */
const exitTimeoutMs = 2000;
/** How long a process without a task may take to end at a restart. */
const restartGraceMs = 2000;
/** How long a process may take to load its handlers. */
const startTimeoutMs = 120_000;

export class Supervisor extends EventEmitter<SupervisorEvents> {
  readonly #options: SupervisorOptions;
  readonly #pause: RestartPause;
  /** Of the process that is, or was the last. */
  #output: ProcessOutput | null = null;
  /** A job runs in the process. */
  #isBusy = false;
  #state: ProcessState = "stopped";
  #child: ChildProcess | null = null;
  #suspension: SuspensionWatch | null = null;
  #timer: NodeJS.Timeout | undefined;
  #isRestarting = false;
  #startFailed = false;
  #startError: ErrorReport | null = null;
  #troubleSinceMs: number | null = null;
  #types: readonly string[] | null = null;
  #problems: readonly HandlerProblem[] = [];

  constructor(options: SupervisorOptions) {
    super();
    this.#options = options;
    this.#pause = new RestartPause(options.restartMaxMs);
  }

  get state(): ProcessState {
    return this.#state;
  }

  /** Job types that the process has loaded; null while there is none that is ready, or a restart is under way. */
  get types(): readonly string[] | null {
    return this.#isRestarting ? null : this.#types;
  }

  /** Files that the process which loaded `types` could not load. */
  get problems(): readonly HandlerProblem[] {
    return this.#problems;
  }

  get pid(): number | null {
    return this.#child?.pid ?? null;
  }

  /** Why the last start failed, while it does. */
  get startError(): ErrorReport | null {
    return this.#startError;
  }

  /** Since when no process has been ready after one ended by itself; null when one is, or none had to be. */
  get troubleSinceMs(): number | null {
    return this.#troubleSinceMs;
  }

  /** A requested restart is under way. */
  get isRestarting(): boolean {
    return this.#isRestarting;
  }

  /**
   * True when a task can be given: to a process that is ready, and to one that boots, so that a container takes its first
   * job meanwhile. After a start that failed it first has to prove itself.
   */
  get acceptsTask(): boolean {
    if (this.#isRestarting) return false;
    return this.#state === "ready" || (this.#state === "starting" && !this.#startFailed);
  }

  start(): void {
    if (this.#state === "stopped" || this.#state === "waiting") this.#spawn();
  }

  /** Does nothing when there is no process. */
  send(message: ToExecutor): void {
    if (this.#child?.connected) this.#child.send(message, () => undefined);
  }

  /** Gives the process a task: the evidence of a crash begins here. Returns what it prints. */
  begin(task: ExecutorTask): AttemptOutput | null {
    const output = this.#output?.begin(task.key.serial) ?? null;
    this.#isBusy = true;
    this.send({ kind: "run", task });
    return output;
  }

  /** The process has run its task to an end, whatever that was. */
  taskEnded(): void {
    this.#isBusy = false;
    this.#pause.reset();
  }

  /** Ends the process at once; another is started. */
  kill(): void {
    if (this.#child !== null) killExecutor(this.#child);
  }

  /** Ends the process as soon as `idle` resolves, and starts another. */
  async restart(idle: Promise<unknown>): Promise<void> {
    if (this.#isRestarting) return;
    this.#isRestarting = true;
    await idle;
    await this.#end(restartGraceMs);
    // Stopped for good meanwhile.
    if (!this.#isRestarting) return;
    this.#isRestarting = false;
    this.#pause.reset();
    this.start();
  }

  /** Requests the process to end and kills it after `graceMs`. Resolves when it is gone. */
  async stop(graceMs: number): Promise<void> {
    this.#isRestarting = false;
    await this.#end(graceMs);
  }

  async #end(graceMs: number): Promise<void> {
    clearTimeout(this.#timer);
    const child = this.#child;
    if (child === null) {
      this.#setState("stopped");
      return;
    }
    this.#setState("stopping");
    const gone = new Promise<void>((resolve) => child.once("exit", () => resolve()));
    this.send({ kind: "stop" });
    const killer = setTimeout(() => killExecutor(child), graceMs);
    await within(graceMs + exitTimeoutMs, gone);
    clearTimeout(killer);
  }

  #setState(state: ProcessState): void {
    if (this.#state === state) return;
    this.#state = state;
    this.emit("state", state);
  }

  #spawn(): void {
    this.#setState("starting");
    this.#output = null;
    const child = this.#fork();
    if (child === null) return;
    this.#child = child;
    if (child.pid !== undefined) this.#watchSuspension(child, child.pid);
    this.#output = new ProcessOutput(child);
    child.on("message", (message) => {
      // What a dead process had written may be read after its end.
      if (this.#child === child) this.#receive(message);
    });
    const watchdog = setTimeout(() => killExecutor(child), startTimeoutMs);
    this.once("state", () => clearTimeout(watchdog));
    child.on("error", (error) => {
      this.#options.log.error({ error }, "the executor process reports an error");
      // A process that could not even be made sends no other event.
      if (child.pid === undefined && this.#child === child) this.#exited(null, null);
    });
    child.once("exit", (code, signal) => this.#exited(code, signal));
  }

  /** A process that is stopped is of no use to anybody, and holds its job and its memory. */
  #watchSuspension(child: ChildProcess, pid: number): void {
    this.#suspension = new SuspensionWatch({
      pid,
      maxMs: this.#options.stoppedMaxMs,
      onExceeded: () => {
        this.#options.log.warn(
          { stopped_max_ms: this.#options.stoppedMaxMs },
          "the executor was stopped for too long: it is killed",
        );
        killExecutor(child);
      },
    });
  }

  /** Null when the system has no process to give; it is tried again after the usual pause. */
  #fork(): ChildProcess | null {
    const { fork = forkExecutor, settings, stoppedMaxMs, log } = this.#options;
    try {
      return fork(settings, stoppedMaxMs);
    } catch (error) {
      log.error({ error }, "the executor process cannot be made");
      this.#exited(null, null);
      return null;
    }
  }

  #receive(received: unknown): void {
    const parsed = fromExecutor.safeParse(received);
    if (!parsed.success) {
      this.#options.log.error({ error: parsed.error }, "a message from the executor is not understood");
      this.emit("unreadable", received);
      return;
    }
    const message = parsed.data;
    switch (message.kind) {
      case "ready":
        this.#startError = null;
        this.#troubleSinceMs = null;
        this.#startFailed = false;
        this.#types = message.types;
        this.#problems = message.problems;
        this.#pause.ready(performance.now());
        if (this.#state === "starting") this.#setState("ready");
        break;
      case "unusable":
        this.#startError = message.error;
        this.#troubleSinceMs ??= Date.now();
        this.#options.log.error({ error: message.error }, "the executor cannot start");
        break;
      case "attempt":
        this.emit("message", message);
        break;
    }
  }

  #exited(exitCode: number | null, signal: string | null): void {
    this.#child = null;
    this.#types = null;
    const wasSuspended = this.#suspension?.close() ?? false;
    this.#suspension = null;
    const wasReady = this.#state !== "starting";
    this.#startFailed = !wasReady;
    const isWanted = this.#state === "stopping" || this.#isRestarting;
    this.#troubleSinceMs = isWanted ? null : (this.#troubleSinceMs ?? Date.now());
    const restartInMs = isWanted ? null : this.#pause.failed(performance.now(), this.#isBusy);
    this.#isBusy = false;
    if (restartInMs !== null) this.#timer = setTimeout(() => this.start(), restartInMs);
    this.#setState(isWanted ? "stopped" : "waiting");
    const lastOutput = this.#output?.evidence ?? "";
    this.emit("exit", { wasReady, wasSuspended, exitCode, signal, lastOutput, restartInMs });
  }
}
