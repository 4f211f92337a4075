import { EventEmitter } from "node:events";
import { z } from "zod";
import type { ErrorReport } from "#contract/errors.ts";
import type { HandlerProblem } from "#runtime/job-types/registry.ts";
import { within } from "#runtime/lib/within.ts";
import type { Logger } from "#runtime/observe/log.ts";
import { type AbortReason, type AttemptKey, attemptKey, type ExecutorSettings, type FromAttempt } from "../protocol.ts";
import { type ExecutorCounts, Statistics } from "./statistics.ts";
import { type ProcessExit, type ProcessState, Supervisor } from "./supervisor.ts";
import { type AttemptEnd, type TaskHooks, type TaskRequest, TaskSlot } from "./task-slot.ts";

/*
 * One worker's executor as the dispatcher sees it: a process that is kept alive (supervisor.ts), one task (task-slot.ts)
 * and counts (statistics.ts). Its state is its process' state, where "ready" is
 *
 *   idle ──run──► busy ──ended──► idle         (ready with a task that was given meanwhile: busy)
 *                  └── exit: its job's attempt ends as "crashed"
 */
export type ExecutorState = Exclude<ProcessState, "ready"> | "idle" | "busy";

/** All that is known of an executor at this moment. */
export interface ExecutorStatus extends ExecutorCounts {
  readonly worker: string;
  readonly state: ExecutorState;
  /** A requested restart is under way: no task is given meanwhile. */
  readonly isRestarting: boolean;
  readonly pid: number | null;
  /** Why the last start failed, while it does. */
  readonly startError: ErrorReport | null;
  /** Since when it has no process that is ready, after one ended by itself; null when it has, or is not meant to. */
  readonly troubleSinceMs: number | null;
  /** Job types that its process has loaded; null while none is ready, or a restart is under way. */
  readonly types: readonly string[] | null;
  /** Files that it could not load. */
  readonly problems: readonly HandlerProblem[];
  /** The attempt that runs. */
  readonly current: AttemptKey | null;
}

/** One attempt that was given to an executor. Its methods do nothing once it has ended. */
export interface RunningTask {
  /** How it ended; never rejects. */
  readonly ended: Promise<AttemptEnd>;
  abort(reason: AbortReason): void;
  /** Ends the attempt with its process; another process is started. */
  kill(): void;
}

export interface ExecutorLimits {
  /** Of the pause before a process whose start keeps failing is started again. */
  readonly restartMaxMs: number;
  /** How long this process, or the executor, may be stopped (SIGSTOP) until the executor is killed: a job's lease. */
  readonly stoppedMaxMs: number;
}

interface ExecutorEvents {
  state: [ExecutorState];
}

const endOfAttempt = z.object({ key: attemptKey, message: z.object({ kind: z.literal("ended") }) });

const unreadableEnd: AttemptEnd = {
  kind: "failed",
  error: { code: "INTERNAL", message: "The executor reported the end of the job in a form that is not understood." },
  retry: "never",
};

export class Executor extends EventEmitter<ExecutorEvents> {
  readonly worker: string;
  readonly #log: Logger;
  readonly #supervisor: Supervisor;
  readonly #slot: TaskSlot;
  readonly #statistics = new Statistics();
  #published: ExecutorState = "stopped";

  constructor(settings: ExecutorSettings, log: Logger, limits: ExecutorLimits) {
    super();
    this.worker = settings.worker;
    this.#log = log.child({ executor: settings.worker });
    this.#supervisor = new Supervisor({ settings, log: this.#log, ...limits });
    this.#slot = new TaskSlot(this.#log, (message) => this.#supervisor.send(message));
    this.#supervisor.on("state", (state) => this.#onProcessState(state));
    this.#supervisor.on("message", (message) => this.#onMessage(message));
    this.#supervisor.on("unreadable", (message) => this.#onUnreadable(message));
    this.#supervisor.on("exit", (exit) => this.#onExit(exit));
  }

  get status(): ExecutorStatus {
    const { pid, startError, troubleSinceMs, isRestarting, types, problems } = this.#supervisor;
    const process = { pid, startError, troubleSinceMs, isRestarting, types, problems };
    const current = this.#slot.task?.key ?? null;
    return { worker: this.worker, ...this.#statistics.counts, state: this.#state(), ...process, current };
  }

  /** Of `status`, for a loop that needs nothing else of it. */
  get heldModels(): readonly string[] {
    return this.#statistics.counts.heldModels;
  }

  /** Whether it can be given a task now. */
  get available(): boolean {
    return this.#slot.isFree && this.#supervisor.acceptsTask;
  }

  start(): void {
    this.#supervisor.start();
  }

  /** Runs one task. Call it on an available executor only. */
  run(request: TaskRequest, hooks: TaskHooks): RunningTask {
    if (!this.available) throw new Error(`The executor ${this.worker} is ${this.#state()}, not available.`);
    const { task, ended } = this.#slot.take(request, hooks);
    if (this.#supervisor.state === "ready") this.#begin();
    const isHere = () => this.#slot.task === task;
    return {
      ended,
      abort: (reason) => {
        if (isHere()) this.#abort(reason);
      },
      kill: () => {
        if (isHere()) this.#supervisor.kill();
      },
    };
  }

  /**
   * Ends the process as soon as it has no task, and starts another. Whoever calls this sees to it that the task ends: what
   * still runs after `taskTimeoutMs` dies with the process.
   */
  async restart(taskTimeoutMs: number): Promise<void> {
    await this.#supervisor.restart(within(taskTimeoutMs, this.#slot.free()));
  }

  /** Requests the process to end and kills it after `graceMs`. Resolves when it is gone. */
  async stop(graceMs: number): Promise<void> {
    await this.#supervisor.stop(graceMs);
  }

  #begin(): void {
    const { task } = this.#slot;
    if (task === null) return;
    const output = this.#supervisor.begin(task);
    if (output !== null) this.#slot.begun(output);
    this.#publish();
  }

  #abort(reason: AbortReason): void {
    if (this.#supervisor.state === "starting") this.#end({ kind: "aborted", reason });
    else this.#slot.abort(reason);
  }

  #end(end: AttemptEnd): void {
    if (this.#slot.isFree) return;
    this.#statistics.ended(end);
    this.#slot.end(end);
    this.#publish();
  }

  #state(): ExecutorState {
    const { state } = this.#supervisor;
    if (state !== "ready") return state;
    return this.#slot.isFree ? "idle" : "busy";
  }

  #publish(): void {
    const state = this.#state();
    if (state === this.#published) return;
    this.#published = state;
    this.emit("state", state);
  }

  #onProcessState(state: ProcessState): void {
    if (state === "starting") this.#statistics.spawned();
    if (state === "ready") {
      this.#statistics.ready();
      this.#begin();
    }
    this.#publish();
  }

  #onMessage(received: FromAttempt): void {
    if (!this.#slot.receive(received) || received.message.kind !== "ended") return;
    this.#supervisor.taskEnded();
    this.#statistics.reported(received.message);
    this.#end(received.message.outcome);
  }

  /** The job must not wait for an end that was reported already. */
  #onUnreadable(message: unknown): void {
    const ended = endOfAttempt.safeParse(message);
    if (ended.success && this.#slot.holds(ended.data.key)) this.#end(unreadableEnd);
  }

  #onExit({ wasReady, wasSuspended, restartInMs, ...evidence }: ProcessExit): void {
    this.#statistics.exited(restartInMs === null);
    if (restartInMs !== null) {
      const { exitCode, signal } = evidence;
      const job_id = this.#slot.task?.key.jobId ?? null;
      this.#log.warn(
        { exit_code: exitCode, signal, job_id, restart_in_ms: restartInMs },
        wasSuspended
          ? "the executor process ended after it, or this container, had been stopped for too long"
          : "the executor process ended unexpectedly",
      );
    }
    if (!wasReady) this.#end({ kind: "not_started" });
    else this.#end(wasSuspended ? { kind: "suspended" } : { kind: "crashed", evidence });
  }
}
