import { type ChildProcess, fork } from "node:child_process";
import { EventEmitter } from "node:events";
import { fileURLToPath } from "node:url";
import { z } from "zod";
import { CodedError, type ErrorReport, toErrorReport } from "#contract/errors.ts";
import { within } from "#runtime/lib/within.ts";
import type { Logger } from "#runtime/observe/log.ts";
import {
  type AbortReason,
  type AttemptOutcome,
  type ChildJobRequest,
  type ExecutorSettings,
  type ExecutorTask,
  type FetchedInput,
  type FromExecutor,
  fromExecutor,
  type ProgressMessage,
  type StageMessage,
  type ToExecutor,
} from "../protocol.ts";
import { executorEnvironment } from "./executor-environment.ts";
import { restartDelayMs } from "./restart-delay.ts";

/*
 * One worker's executor as the dispatcher sees it: a supervised child process.
 *
 *   starting ──ready──► idle ──run──► busy ──ended──► idle         (ready with a task that was given meanwhile: busy)
 *      │ exit             │ exit        │ exit: its job's attempt ends as "crashed"
 *      └───────► waiting ◄┴─────────────┘
 *                  └── after a pause that doubles from 0.5 s to 60 s ──► starting
 *   any ──stop──► stopping ──exit──► stopped
 *   any ──restart──► (its task ends, and no other one is given) ──stop──► stopped ──► starting
 *
 * The pause goes back to its first value only after a minute in good health, so that a child that dies at every
 * start, or at every job, does not spin.
 */
export type ExecutorState = "starting" | "idle" | "busy" | "waiting" | "stopping" | "stopped";

export type AttemptEnd =
  | AttemptOutcome
  | { readonly kind: "crashed"; readonly evidence: CrashEvidence }
  /** The process died before it was ready: the job never began. */
  | { readonly kind: "not_started" };

export interface CrashEvidence {
  readonly exitCode: number | null;
  readonly signal: string | null;
  /** The last lines that the process wrote to standard error. */
  readonly lastOutput: string;
}

export interface TaskHooks {
  onProgress(message: ProgressMessage): void;
  onStage(message: StageMessage): void;
  enqueue(child: ChildJobRequest): Promise<string>;
  /** @param name of the file, without its extension; the signal ends with the attempt */
  input(url: string, name: string, signal: AbortSignal): Promise<FetchedInput>;
}

interface CurrentTask {
  readonly task: ExecutorTask;
  readonly hooks: TaskHooks;
  /** Aborted when the attempt is told to stop, and when it has ended. */
  readonly controller: AbortController;
  readonly ended: Promise<AttemptEnd>;
  end(end: AttemptEnd): void;
}

interface ExecutorEvents {
  state: [ExecutorState];
}

const entry = fileURLToPath(new URL("../child/child.ts", import.meta.url));
const keptOutputCharacters = 4096;
/** How long a killed process may take to be gone. */
const exitLimitMs = 2000;
/** How long a process without a task may take to end at a restart. */
const restartGraceMs = 2000;
/** How long a process may take to load its handlers. */
const startLimitMs = 120_000;

const endsTask = (message: unknown): boolean => z.object({ kind: z.literal("ended") }).safeParse(message).success;

/** Ends what was still under way for an attempt. One for all of them: an error is made with a stack trace. */
const attemptEnded = new CodedError("CANCELLED", "The attempt has ended.");

const unreadableEnd: AttemptEnd = {
  kind: "failed",
  error: { code: "INTERNAL", message: "The executor reported the end of the job in a form that is not understood." },
  retry: "never",
};

export class Executor extends EventEmitter<ExecutorEvents> {
  readonly worker: string;
  readonly #settings: ExecutorSettings;
  readonly #log: Logger;
  readonly #restartMaxMs: number;
  #state: ExecutorState = "stopped";
  #child: ChildProcess | null = null;
  #lastOutput = "";
  #startFailed = false;
  #task: CurrentTask | null = null;
  #healthySinceMs = 0;
  #failures = 0;
  #timer: NodeJS.Timeout | null = null;
  #isRestarting = false;
  #spawnedAtMs = 0;
  /** Why the last start failed, while it does. */
  startError: ErrorReport | null = null;
  restarts = 0;
  heldModels: readonly string[] = [];
  memoryBytes: number | null = null;
  jobsProcessed = 0;
  /** Attempts that failed here, or that died with the process. */
  errors = 0;
  lastJobAtMs: number | null = null;
  /** Since when the process that runs now is ready; null when none is. */
  readySinceMs: number | null = null;
  /** How long the last start took until the process was ready; null before the first. */
  startSeconds: number | null = null;

  constructor(settings: ExecutorSettings, log: Logger, restartMaxMs = 60_000) {
    super();
    this.worker = settings.worker;
    this.#settings = settings;
    this.#restartMaxMs = restartMaxMs;
    this.#log = log.child({ executor: settings.worker });
  }

  get state(): ExecutorState {
    return this.#state;
  }

  get currentJobId(): string | null {
    return this.#task?.task.jobId ?? null;
  }

  /** A restart that was asked for is under way: no task is given meanwhile. */
  get isRestarting(): boolean {
    return this.#isRestarting;
  }

  get pid(): number | null {
    return this.#child?.pid ?? null;
  }

  start(): void {
    if (this.#state === "stopped" || this.#state === "waiting") this.#spawn();
  }

  /**
   * True when a task can be given: at rest, or at its start, so that a container takes its first job while the process
   * boots. After a start that failed it first has to prove itself.
   */
  get available(): boolean {
    if (this.#isRestarting) return false;
    return this.#state === "idle" || (this.#state === "starting" && this.#task === null && !this.#startFailed);
  }

  /** Runs one task; resolves with how it ended and never rejects. Call it on an available executor only. */
  run(task: ExecutorTask, hooks: TaskHooks): Promise<AttemptEnd> {
    if (!this.available) throw new Error(`The executor ${this.worker} is ${this.#state}, not available.`);
    const { promise, resolve } = Promise.withResolvers<AttemptEnd>();
    this.#task = { task, hooks, controller: new AbortController(), ended: promise, end: resolve };
    if (this.#state === "idle") this.#begin(task);
    return promise;
  }

  #begin(task: ExecutorTask): void {
    this.#lastOutput = "";
    this.#setState("busy");
    this.#send({ kind: "run", task });
  }

  abort(jobId: string, reason: AbortReason): void {
    if (this.#task?.task.jobId !== jobId) return;
    this.#task.controller.abort(new CodedError("CANCELLED", `The job was stopped: ${reason}.`));
    if (this.#state === "starting") this.#endTask({ kind: "aborted", reason });
    else this.#send({ kind: "abort", jobId, reason });
  }

  /** Ends the process at once; the supervisor starts another. */
  kill(): void {
    this.#child?.kill("SIGKILL");
  }

  /**
   * Ends the process as soon as it has no task, and starts another. Whoever calls this sees to it that the task ends: what
   * still runs after `taskLimitMs` dies with the process.
   */
  async restart(taskLimitMs: number): Promise<void> {
    if (this.#isRestarting) return;
    this.#isRestarting = true;
    await within(taskLimitMs, this.#task?.ended ?? Promise.resolve());
    await this.#end(restartGraceMs);
    // Stopped for good meanwhile.
    if (!this.#isRestarting) return;
    this.#isRestarting = false;
    this.#failures = 0;
    this.start();
  }

  /** Asks the process to end and kills it after `graceMs`. Resolves when it is gone. */
  async stop(graceMs: number): Promise<void> {
    this.#isRestarting = false;
    await this.#end(graceMs);
  }

  async #end(graceMs: number): Promise<void> {
    if (this.#timer) clearTimeout(this.#timer);
    const child = this.#child;
    if (child === null) {
      this.#setState("stopped");
      return;
    }
    this.#setState("stopping");
    const gone = new Promise<void>((resolve) => child.once("exit", () => resolve()));
    this.#send({ kind: "stop" });
    const killer = setTimeout(() => child.kill("SIGKILL"), graceMs);
    await within(graceMs + exitLimitMs, gone);
    clearTimeout(killer);
  }

  #setState(state: ExecutorState): void {
    if (this.#state === state) return;
    this.#state = state;
    this.emit("state", state);
  }

  #spawn(): void {
    this.#setState("starting");
    this.#lastOutput = "";
    this.#spawnedAtMs = Date.now();
    // A process group of its own: Ctrl-C in a terminal reaches the dispatcher alone, which then stops its executors in order.
    const child = this.#fork();
    if (child === null) return;
    this.#child = child;
    child.stderr?.on("data", (chunk: Buffer) => {
      this.#lastOutput = (this.#lastOutput + chunk.toString("utf8")).slice(-keptOutputCharacters);
      process.stderr.write(chunk);
    });
    child.on("message", (message) => this.#receive(message));
    const watchdog = setTimeout(() => child.kill("SIGKILL"), startLimitMs);
    this.once("state", () => clearTimeout(watchdog));
    child.on("error", (error) => {
      this.#log.error({ error }, "the executor process reports an error");
      // A process that could not even be made says nothing else.
      if (child.pid === undefined && this.#child === child) this.#exited(null, null);
    });
    child.once("exit", (code, signal) => this.#exited(code, signal));
  }

  /** Null when the system has no process to give; it is asked again after the usual pause. */
  #fork(): ChildProcess | null {
    try {
      return fork(entry, [JSON.stringify(this.#settings)], {
        serialization: "advanced",
        detached: true,
        // biome-ignore lint/style/noProcessEnv: nothing is read from it here; it is handed on, without what is secret
        env: executorEnvironment(process.env),
        // What a handler or a native library prints is no result: the command's standard output stays one JSON document.
        stdio: ["ignore", process.stderr.fd, "pipe", "ipc"],
      });
    } catch (error) {
      this.#log.error({ error }, "the executor process cannot be made");
      this.#exited(null, null);
      return null;
    }
  }

  #send(message: ToExecutor): void {
    const child = this.#child;
    if (child?.connected) child.send(message, () => undefined);
  }

  #receive(message: unknown): void {
    const parsed = fromExecutor.safeParse(message);
    if (!parsed.success) {
      this.#log.error({ error: parsed.error }, "a message from the executor is not understood");
      if (endsTask(message)) this.#endTask(unreadableEnd);
      return;
    }
    this.#handle(parsed.data);
  }

  #handle(message: FromExecutor): void {
    switch (message.kind) {
      case "ready":
        this.#healthySinceMs = Date.now();
        this.readySinceMs = this.#healthySinceMs;
        this.startSeconds = (this.#healthySinceMs - this.#spawnedAtMs) / 1000;
        this.startError = null;
        this.#startFailed = false;
        if (this.#state !== "starting") break;
        if (this.#task) this.#begin(this.#task.task);
        else this.#setState("idle");
        break;
      case "unusable":
        this.startError = message.error;
        this.#log.error({ error: message.error }, "the executor cannot start");
        break;
      case "progress":
        if (this.#task?.task.jobId === message.jobId) this.#task.hooks.onProgress(message);
        break;
      case "stage":
        if (this.#task?.task.jobId === message.jobId) this.#task.hooks.onStage(message);
        break;
      case "enqueue":
        void this.#enqueue(message.requestId, message.child);
        break;
      case "input":
        void this.#input(message.requestId, message.jobId, message.url);
        break;
      case "ended":
        this.heldModels = message.heldModels;
        this.memoryBytes = message.memoryBytes;
        this.jobsProcessed++;
        this.lastJobAtMs = Date.now();
        this.#endTask(message.outcome);
        break;
    }
  }

  async #enqueue(requestId: number, child: ChildJobRequest): Promise<void> {
    const task = this.#task;
    if (task === null) return;
    try {
      this.#send({ kind: "enqueued", requestId, jobId: await task.hooks.enqueue(child) });
    } catch (error) {
      this.#send({ kind: "enqueue_failed", requestId, error: toErrorReport(error) });
    }
  }

  async #input(requestId: number, jobId: string, url: string): Promise<void> {
    const task = this.#task;
    if (task?.task.jobId !== jobId) return;
    try {
      const input = await task.hooks.input(url, String(requestId), task.controller.signal);
      this.#send({ kind: "input_ready", requestId, input });
    } catch (error) {
      this.#send({ kind: "input_failed", requestId, error: toErrorReport(error) });
    }
  }

  #endTask(end: AttemptEnd): void {
    const task = this.#task;
    this.#task = null;
    if (task !== null && (end.kind === "failed" || end.kind === "crashed")) this.errors++;
    task?.controller.abort(attemptEnded);
    if (this.#state === "busy") this.#setState("idle");
    task?.end(end);
  }

  #exited(exitCode: number | null, signal: string | null): void {
    this.#child = null;
    this.heldModels = [];
    this.memoryBytes = null;
    this.readySinceMs = null;
    const began = this.#state !== "starting";
    this.#startFailed = !began;
    if (this.#state === "stopping" || this.#isRestarting) {
      this.#setState("stopped");
    } else {
      this.#restartLater(exitCode, signal);
    }
    if (!began) this.#endTask({ kind: "not_started" });
    else this.#endTask({ kind: "crashed", evidence: { exitCode, signal, lastOutput: this.#lastOutput.trim() } });
  }

  #restartLater(exitCode: number | null, signal: string | null): void {
    if (this.#healthySinceMs > 0 && Date.now() - this.#healthySinceMs >= 60_000) this.#failures = 0;
    this.#healthySinceMs = 0;
    const delayMs = restartDelayMs(this.#failures++, this.#restartMaxMs);
    this.restarts++;
    this.#log.warn(
      { exit_code: exitCode, signal, job_id: this.currentJobId, restart_in_ms: delayMs },
      "the executor process ended unexpectedly",
    );
    this.#setState("waiting");
    this.#timer = setTimeout(() => this.start(), delayMs);
  }
}
