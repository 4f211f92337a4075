import { setTimeout as pause } from "node:timers/promises";
import type { AttemptLog } from "#contract/attempt-log.ts";
import { checkJob } from "#contract/check-job.ts";
import { type ErrorReport, toErrorReport } from "#contract/errors.ts";
import { timeoutSecondsOf } from "#contract/expiry.ts";
import type { Handler } from "#contract/handler.ts";
import type { Job } from "#contract/job.ts";
import { invalidJob, unknownJobType } from "#contract/problems.ts";
import type { ReleaseReason } from "#contract/release-reason.ts";
import type { AttemptLogs } from "#runtime/attempt-logs/attempt-logs.ts";
import type { Caller, Calls } from "#runtime/calls/calls.ts";
import { attemptFolder, inputsFolder } from "#runtime/container/data-folder.ts";
import type { Delivery } from "#runtime/delivery/delivery.ts";
import type { Executor, RunningTask } from "#runtime/executor/parent/executor.ts";
import type { AttemptEnd } from "#runtime/executor/parent/task-slot.ts";
import type { ChildJobRequest, ProgressMessage, StageMessage } from "#runtime/executor/protocol.ts";
import type { AnswerQuery, QueryOrigin } from "#runtime/executor/queries.ts";
import type { JobInputs } from "#runtime/inputs/connect-inputs.ts";
import type { Registry } from "#runtime/job-types/registry.ts";
import { awakeTimeout } from "#runtime/lib/awake-timeout.ts";
import type { Logger } from "#runtime/observe/log.ts";
import type { Metrics } from "#runtime/observe/metrics/metrics.ts";
import { recordStage } from "#runtime/observe/metrics/record-stage.ts";
import { type TracedLease, traced } from "#runtime/observe/tracing/attempt-trace.ts";
import type { Tracing } from "#runtime/observe/tracing/tracing.ts";
import type { JobSource, Lease } from "#runtime/sources/job-source.ts";
import { attemptsExhausted, decideSettlement, type Settlement, type StopReason } from "./attempt.ts";
import type { JobEvents } from "./job-events.ts";
import type { LeaseKeeper } from "./lease-keeper.ts";
import { LiveText } from "./live-text.ts";
import { fieldsOf, type Settler } from "./settler.ts";

/*
 * One job under one lease, from the moment that it is taken to the moment that it is settled, given back, or handed to
 * the delivery. Everything that can go wrong with an attempt is decided in attempt.ts, and settler.ts carries it out.
 */
export interface JobRunnerOptions {
  readonly registry: Registry;
  readonly executors: ReadonlyMap<string, Executor>;
  readonly keepers: ReadonlyMap<string, LeaseKeeper>;
  readonly delivery: Pick<Delivery, "sendProcessing">;
  readonly settler: Settler;
  readonly inputs: JobInputs;
  readonly calls: Pick<Calls, "callFrom" | "has">;
  readonly answerQuery: AnswerQuery;
  readonly events: JobEvents;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly tracing: Tracing;
  /** What attempts print. */
  readonly attemptLogs: Pick<AttemptLogs, "follow" | "keepBy">;
  readonly workFolder: string;
  readonly abortGraceSeconds: number;
  /** @param source where the parent came from */
  enqueueChild(source: string, parent: Lease, child: ChildJobRequest): Promise<string>;
  /**
   * Something about this container keeps it from running the job, which goes back to its queue when this resolves:
   * what cannot be run is by then not taken any more. Without it there is a pause before the job goes back.
   */
  onCondition?(condition: ErrorReport, lease: Lease): Promise<void>;
  /** Why a job that was taken is not to be run here, as far as that is known before; null when nothing is. */
  obstacleTo?(job: Job): ErrorReport | null;
  /** For how long a job that was taken is to be put back, so that others' jobs go first; 0 when it is to run. */
  yieldMs?(job: Job): number;
  /** An attempt that nobody stopped has ended. */
  onAttemptEnd?(attempt: { readonly lease: Lease; readonly worker: string; readonly end: AttemptEnd }): void;
}

/** How long a job keeps its lease that could not be given to its own worker. */
const misplacedPauseMs = 1000;
const yielding: ReleaseReason = {
  code: "EXECUTOR_CRASHED",
  message: "Jobs of this user and type have just crashed their executor: those of others go first.",
};
const conditionPauseMs = 1000;

function wrongQueue({ job }: Lease): ErrorReport {
  return {
    code: "UNKNOWN_JOB_TYPE",
    message: `The job type ${job.type} belongs to a worker that does not run here: the job was on another worker's queue.`,
  };
}

function callerOf({ jobId, attempt, token, job, trace }: TracedLease, { type, worker }: Handler): Caller {
  return { type, worker, jobId, attempt, runId: token, userId: job.user_id, traceparent: trace.runTraceparent };
}

function originOf({ jobId, token, job }: TracedLease): QueryOrigin {
  return { userId: job.user_id, jobId, runId: token };
}

function isFailure({ kind }: Settlement): boolean {
  return kind === "fail" || kind === "retry";
}

/** One attempt that is under way. */
class RunningAttempt {
  readonly lease: TracedLease;
  readonly worker: string;
  stopReason: StopReason = null;
  progress: number | null = null;
  readonly #task: RunningTask;
  #killer: NodeJS.Timeout | null = null;
  #isOver = false;

  constructor(lease: TracedLease, worker: string, task: RunningTask) {
    this.lease = lease;
    this.worker = worker;
    this.#task = task;
  }

  /** The first reason counts. A handler that does not stop within the grace is killed with its process. */
  stop(reason: Exclude<StopReason, null>, graceSeconds: number): void {
    if (this.#isOver || this.stopReason !== null) return;
    this.stopReason = reason;
    this.#task.abort(reason);
    this.#killer = setTimeout(() => this.#task.kill(), graceSeconds * 1000);
  }

  over(): void {
    this.#isOver = true;
    if (this.#killer) clearTimeout(this.#killer);
  }
}

export class JobRunner {
  readonly #options: JobRunnerOptions;
  readonly #running = new Set<RunningAttempt>();

  constructor(options: JobRunnerOptions) {
    this.#options = options;
  }

  /**
   * Gives every running job back to its queue, or those of one worker: what a shutdown does when its grace is over, and
   * what the restart of an executor begins with.
   */
  release(worker?: string): void {
    for (const attempt of this.#running) {
      if (worker === undefined || worker === attempt.worker) attempt.stop("shutdown", this.#options.abortGraceSeconds);
    }
  }

  /**
   * Runs the leased job and settles it, or hands its result to the delivery. The executor is busy when the call
   * returns its promise, so that the dispatcher cannot give it a second job.
   *
   * @param takenAtMs when the source was asked for it, on the process's own clock
   */
  run(source: JobSource, taken: Lease, takenAtMs: number = performance.now()): Promise<void> {
    const { metrics, tracing } = this.#options;
    const lease = traced(tracing, taken);
    metrics.queueWaitSeconds.observe({ type: lease.job.type }, Math.max(0, lease.takenAtMs - lease.queuedAtMs) / 1000);
    const refusal = this.#refuse(lease);
    if (refusal !== null) return this.#settle(source, lease, { kind: "fail", error: refusal });
    const { registry, executors } = this.#options;
    const handler = registry.get(lease.job.type);
    const executor = handler && executors.get(handler.worker);
    if (handler === undefined || executor === undefined) {
      const report =
        handler === undefined ? toErrorReport(unknownJobType(lease.job.type, registry.types)) : wrongQueue(lease);
      return this.#settle(source, lease, { kind: "release", condition: report });
    }
    const obstacle = this.#options.obstacleTo?.(lease.job) ?? null;
    if (obstacle !== null) return this.#settle(source, lease, { kind: "release", condition: obstacle });
    const yieldMs = this.#options.yieldMs?.(lease.job) ?? 0;
    if (yieldMs > 0)
      return this.#settle(source, lease, { kind: "release", delaySeconds: yieldMs / 1000, reason: yielding });
    // A call came while the job was being taken: the job is not taken again before the executor is free.
    if (!executor.available && this.#options.calls.has(handler.worker))
      return this.#settle(source, lease, { kind: "release" });
    if (!executor.available) return this.#releaseLater(source, lease);
    return this.#attempt(source, lease, handler, executor, takenAtMs);
  }

  /** A job that was on another worker's queue than its own, whose executor is busy. At once, it would be taken again at once. */
  async #releaseLater(source: JobSource, lease: TracedLease): Promise<void> {
    await pause(misplacedPauseMs);
    await this.#settle(source, lease, { kind: "release" });
  }

  /** What is wrong with a job before it runs; null when nothing is, or nothing that this container knows of. */
  #refuse(lease: Lease): ErrorReport | null {
    if (lease.rejection) return lease.rejection;
    const handler = this.#options.registry.get(lease.job.type);
    if (handler === undefined) return null;
    if (lease.attempt > handler.retry.maxAttempts)
      return attemptsExhausted(handler.retry.maxAttempts, lease.previousError);
    try {
      const parsed = checkJob(handler, lease.job);
      return parsed.ok ? null : toErrorReport(invalidJob(parsed.problems));
    } catch (error) {
      // A schema with a transform of its own may throw.
      return toErrorReport(error, "HANDLER_FAILED");
    }
  }

  async #attempt(
    source: JobSource,
    lease: TracedLease,
    handler: Handler,
    executor: Executor,
    takenAtMs: number,
  ): Promise<void> {
    const { events, delivery, abortGraceSeconds, log } = this.#options;
    const startedAtMs = performance.now();
    lease.trace.runs(executor.worker);
    const text = new LiveText((whole) => events.emit(lease.jobId, { kind: "text", text: whole }));
    let printed: Promise<AttemptLog> | null = null;
    const task = executor.run(this.#taskOf(lease), {
      onBegin: (output) => {
        printed = this.#options.attemptLogs.follow(lease, output);
      },
      onProgress: (message) => this.#onProgress(source, attempt, message),
      onStage: (message) => this.#onStage(attempt, message),
      onText: (delta) => {
        text.add(delta);
        source.publish?.(lease, { kind: "text", delta });
      },
      call: (request, control) => this.#options.calls.callFrom(callerOf(lease, handler), request, control),
      query: (query) => this.#options.answerQuery(query, originOf(lease)),
      // A child whose body changed from attempt to attempt would be taken for another one.
      enqueue: (child) => this.#options.enqueueChild(source.name, lease.taken, child),
      input: ({ url, content }, name, signal) =>
        this.#options.inputs.fetch({
          url,
          content,
          userId: lease.job.user_id,
          folder: inputsFolder(this.#workFolder(lease)),
          name,
          signal,
        }),
    });
    const attempt = new RunningAttempt(lease, executor.worker, task);
    this.#running.add(attempt);
    const release = this.#options.keepers.get(source.name)?.hold(
      lease,
      {
        progress: () => attempt.progress,
        onCancel: () => attempt.stop("cancelled", abortGraceSeconds),
        onLost: () => attempt.stop("lease_lost", abortGraceSeconds),
      },
      { takenAtMs },
    );
    const ownLimitSeconds = timeoutSecondsOf(lease.job);
    const timeoutMs = Math.min(handler.retry.timeoutSeconds, ownLimitSeconds ?? Number.POSITIVE_INFINITY) * 1000;
    const clearLimit = awakeTimeout(timeoutMs, () => attempt.stop("timed_out", abortGraceSeconds));
    const over = () => {
      clearLimit();
      text.close();
      attempt.over();
      this.#running.delete(attempt);
    };
    try {
      log.info(fieldsOf(lease), "job started");
      events.emit(lease.jobId, { kind: "state", status: "running", attempt: lease.attempt });
      delivery.sendProcessing(source, lease, 0);
      const end = await task.ended;
      // The executor may have its next job by now: nothing of this attempt may reach it any more.
      over();
      lease.trace.ran();
      if (attempt.stopReason === null) this.#options.onAttemptEnd?.({ lease, worker: executor.worker, end });
      const settlement = decideSettlement({
        handler,
        attempt: lease.attempt,
        namesModel: typeof lease.job.model_variant === "string",
        end,
        stopReason: attempt.stopReason,
        ownLimitSeconds,
      });
      if (isFailure(settlement)) this.#options.attemptLogs.keepBy(source, printed);
      await this.#settle(source, lease, settlement, performance.now() - startedAtMs);
    } finally {
      over();
      release?.();
    }
  }

  #onProgress(source: JobSource, attempt: RunningAttempt, message: ProgressMessage): void {
    const { events, delivery } = this.#options;
    const { jobId } = attempt.lease;
    const progress = message.total > 0 ? Math.min(1, Math.max(0, message.step / message.total)) : 0;
    attempt.progress = progress;
    if (message.preview)
      events.emit(jobId, { kind: "preview", mimeType: message.preview.mimeType, bytes: message.preview.bytes });
    events.emit(jobId, { kind: "progress", step: message.step, total: message.total, progress });
    source.publish?.(attempt.lease, { kind: "progress", progress, step: message.step, total: message.total });
    delivery.sendProcessing(source, attempt.lease, progress);
  }

  #onStage({ lease, worker }: RunningAttempt, message: StageMessage): void {
    const { name, seconds } = message;
    lease.trace.stage(message);
    this.#options.events.emit(lease.jobId, { kind: "stage", name, seconds });
    recordStage(this.#options.metrics, { type: lease.job.type, worker }, message);
  }

  async #settle(
    source: JobSource,
    lease: TracedLease,
    settlement: Settlement,
    ranMs: number | null = null,
  ): Promise<void> {
    if (settlement.kind === "release" && settlement.condition !== undefined)
      await this.#meetCondition(settlement.condition, lease);
    await this.#options.settler.settle(source, lease, settlement, { ranMs, workFolder: this.#workFolder(lease) });
  }

  async #meetCondition(condition: ErrorReport, lease: Lease): Promise<void> {
    const { log, onCondition } = this.#options;
    log.warn({ ...fieldsOf(lease), error: condition }, "this container cannot run the job: it goes back to its queue");
    // At once, it would be taken again at once.
    await (onCondition === undefined ? pause(conditionPauseMs) : onCondition(condition, lease));
  }

  #taskOf(lease: Lease) {
    const { jobId, attempt, job, requestId } = lease;
    return { jobId, attempt, job, requestId, workFolder: this.#workFolder(lease) };
  }

  #workFolder(lease: Lease): string {
    return attemptFolder(this.#options.workFolder, lease);
  }
}
