import { randomUUID } from "node:crypto";
import { join } from "node:path";
import { checkJob } from "#contract/check-job.ts";
import { CodedError, PermanentError } from "#contract/errors.ts";
import type { Handler, JobOutput } from "#contract/handler.ts";
import { type Job, jobEnvelope } from "#contract/job.ts";
import { invalidJob, parseWith, unknownJobType } from "#contract/problems.ts";
import { toOutput } from "#runtime/executor/handler-output.ts";
import type { Executor } from "#runtime/executor/parent/executor.ts";
import type { CallControl } from "#runtime/executor/parent/task-slot.ts";
import type { CallRequest, HandlerOutput } from "#runtime/executor/protocol.ts";
import type { Registry } from "#runtime/job-types/registry.ts";
import { bodyDigest } from "#runtime/lib/body-digest.ts";
import { CallTrace } from "#runtime/observe/tracing/call-trace.ts";
import { traceparentOf } from "#runtime/observe/tracing/traceparent.ts";
import type { Tracing } from "#runtime/observe/tracing/tracing.ts";
import { Call, type CallOrder, type CallParts, type RanCall } from "./call.ts";
import { endedBy, lineFull, notOffered, shuttingDown } from "./call-failure.ts";
import { CalledWorkers, type CalledWorkersOptions, type WorkerCalls } from "./called-workers.ts";
import { SharedAnswers } from "./shared-answers.ts";

/*
 * Calls of handlers without their queues, by handlers of other workers and by HTTP: what may be called by whom, and with what.
 *
 * Nothing waits in a circle: a handler that waits for its call holds its own executor, and call-graph.ts has seen to it that no
 * chain of calls comes back to a worker. Only what that graph holds is let through here, whatever an executor has loaded.
 */
export interface CallsOptions extends Omit<CallParts, "callFrom">, Omit<CalledWorkersOptions, "waitSeconds" | "log"> {
  readonly registry: Registry;
  readonly tracing: Tracing;
  readonly workFolder: string;
  /** How long a call may wait, and how long it may run. */
  readonly timeoutSeconds: number;
  /** For how long calls of the job's user and type are refused, so that others' go first. */
  yieldMs(job: Job): number;
  /** Whether the container does not take jobs yet: calls over HTTP are refused. */
  isStarting(): boolean;
  /** Whether somebody has paused the container: they are refused too. */
  isPaused(): boolean;
}

/** The attempt that makes a call. */
export interface Caller {
  readonly type: string;
  readonly worker: string;
  readonly jobId: string;
  readonly attempt: number;
  /** Another one each time that the job runs. */
  readonly runId: string;
  readonly userId: string;
  readonly traceparent: string | undefined;
}

export interface InteractiveCall {
  readonly type: string;
  /** The job without id, type and user. */
  readonly job: Readonly<Record<string, unknown>>;
  /** Users take turns. */
  readonly userId?: string | undefined;
  /** Ends the call: what runs is aborted. */
  readonly signal: AbortSignal;
  /** The text while it is made. Must take it at once: for a reader that may be slow, see text-inbox.ts. */
  readonly onText?: ((delta: string) => void) | undefined;
  /** The same key and body of one user are answered once, for ten minutes. */
  readonly idempotencyKey?: string | undefined;
  readonly timeoutSeconds?: number | undefined;
  /** The span that it belongs to. */
  readonly traceparent?: string | undefined;
}

export interface CallAnswer {
  readonly output: JobOutput;
  /** What the log has it under. */
  readonly callId: string;
  readonly waitedSeconds: number;
  readonly ranSeconds: number;
}

type OrderedBy = Pick<CallOrder, "jobId" | "attempt" | "runId" | "caller" | "isOfJob" | "signal" | "onText"> & {
  readonly timeoutSeconds: number | undefined;
  readonly parent: string | undefined;
};

export class Calls {
  readonly #options: CallsOptions;
  readonly #parts: CallParts;
  readonly #workers: CalledWorkers;
  readonly #shared = new SharedAnswers<CallAnswer>();
  #isClosed = false;

  constructor(options: CallsOptions) {
    this.#options = options;
    const { inputs, metrics, log, abortGraceSeconds, answerQuery } = options;
    const callFrom: CallParts["callFrom"] = (
      { order: { handler, job, jobId, attempt, runId, userId } },
      request,
      control,
    ) => {
      const { type, worker } = handler;
      return this.callFrom(
        { type, worker, jobId, attempt, runId, userId, traceparent: traceparentOf(job.metadata) },
        request,
        control,
      );
    };
    this.#parts = { inputs, metrics, log, abortGraceSeconds, answerQuery, callFrom };
    this.#workers = new CalledWorkers({ ...options, waitSeconds: options.timeoutSeconds });
    for (const executor of options.executors.values()) this.watch(executor);
  }

  /** Calls that run. */
  get active(): number {
    return this.#workers.active;
  }

  /** How many calls wait for the worker's executor, which is then not for the jobs on its queue. */
  waiting(worker: string): number {
    return this.#workers.waiting(worker);
  }

  /** Whether a call has the worker's executor. */
  has(worker: string): boolean {
    return this.#workers.has(worker);
  }

  /** What is called of the worker now. */
  of(worker: string): WorkerCalls {
    return this.#workers.of(worker);
  }

  /** An executor on which calls are to run. */
  watch(executor: Executor): void {
    executor.on("state", () => this.#workers.serve(executor.worker));
  }

  /** What calls wait for may have changed. */
  wake(): void {
    this.#workers.serveAll();
  }

  /**
   * Runs a handler now, before the jobs on its worker's queue, and answers what it returned.
   *
   * @throws CodedError UNKNOWN_JOB_TYPE, INVALID_JOB, UNSUPPORTED_OPTION (its files would be lost); CALL_NOT_OFFERED, NOT_READY,
   *   SHUTTING_DOWN; OVERLOADED with when to try again; IDEMPOTENCY_CONFLICT; CANCELLED, TIMED_OUT, EXECUTOR_CRASHED; the handler's own
   */
  async callNow(request: InteractiveCall): Promise<CallAnswer> {
    const { type, signal, onText, idempotencyKey } = request;
    if (this.#isClosed) throw shuttingDown(type);
    const { handler, job } = this.#interactiveJob(request);
    if (idempotencyKey === undefined) return await this.#answer(handler, job, request, { signal, onText });
    const key = JSON.stringify([type, job.user_id, idempotencyKey]);
    const shared = { type, key, digest: bodyDigest(job), signal, onText };
    return await this.#shared.get(shared, (one) => this.#answer(handler, job, request, one));
  }

  /**
   * A handler calls one of another worker.
   *
   * @throws CodedError as `ctx.call` does
   */
  async callFrom(caller: Caller, request: CallRequest, { signal, onText }: CallControl): Promise<HandlerOutput> {
    const { type, wantsText, timeoutSeconds } = request;
    const { jobId, attempt, runId, userId } = caller;
    const handler = this.#calledFrom(caller, type);
    const job = this.#checked(handler, { ...request.job, id: jobId, type, user_id: userId });
    const text = wantsText ? onText : undefined;
    const parent = caller.traceparent;
    const control = { signal, onText: text, timeoutSeconds, parent };
    const order = { jobId, attempt, runId, caller: caller.type, isOfJob: true, ...control };
    const { output } = await this.#make(handler, job, order);
    return output;
  }

  /** Refuses calls over HTTP from now on, and those that wait. Calls of jobs go on as long as their jobs do. */
  close(): void {
    this.#isClosed = true;
    this.#workers.close();
  }

  /** Resolves when no call runs any more. */
  settled(): Promise<void> {
    return this.#workers.settled();
  }

  /** Ends the calls that run: all, as a shutdown does when its grace is over, or those of a worker that is started anew. */
  release(worker?: string): void {
    this.#workers.release(worker);
  }

  async #answer(
    handler: Handler,
    job: Job,
    { timeoutSeconds, traceparent: parent }: InteractiveCall,
    control: Pick<InteractiveCall, "signal" | "onText">,
  ): Promise<CallAnswer> {
    const yieldMs = this.#options.yieldMs(job);
    if (yieldMs > 0)
      throw lineFull(job.type, "Calls of this user have just crashed their executor.", Math.ceil(yieldMs / 1000));
    const callId = job.id;
    const by = { jobId: callId, attempt: 1, runId: callId, caller: "http", isOfJob: false };
    const order = { ...by, timeoutSeconds, parent, ...control };
    const { output, ...times } = await this.#make(handler, job, order);
    return { output: toOutput(output), callId, ...times };
  }

  #interactiveJob({ type, job, userId }: InteractiveCall): { readonly handler: Handler; readonly job: Job } {
    const { registry, isStarting, isPaused } = this.#options;
    const handler = registry.get(type);
    const broken = registry.problems.some((problem) => problem.type === type);
    if (handler === undefined && !broken) throw unknownJobType(type, registry.types);
    if (handler === undefined)
      throw notOffered(type, { code: "HANDLER_INVALID", message: "its handler cannot be loaded." });
    if (handler.produces === "image" || handler.produces === "video")
      throw new CodedError(
        "UNSUPPORTED_OPTION",
        `${type} makes files, which a call does not keep: submit it as a job.`,
      );
    if (isStarting())
      throw new CodedError("NOT_READY", "The container is starting: ask again in a moment, or ask another one.");
    if (isPaused())
      throw new CodedError(
        "NOT_READY",
        "The container is paused: resume it (POST /worker/resume), or ask another one.",
      );
    const id = `call-${randomUUID()}`;
    return { handler, job: this.#checked(handler, { ...job, id, type, user_id: userId }) };
  }

  /** @throws PermanentError HANDLER_FAILED for what the caller does not declare, and CALL_NOT_OFFERED */
  #calledFrom({ type, worker }: Caller, called: string): Handler {
    const { registry } = this.#options;
    const isDeclared = registry.all().some((each) => each.worker === worker && each.calls?.includes(called));
    if (!isDeclared)
      throw new PermanentError(
        `${type} calls ${called}, which no handler of ${worker} here declares in its \`calls\`.`,
      );
    const handler = registry.get(called);
    if (handler !== undefined) return handler;
    throw notOffered(called, { code: "HANDLER_INVALID", message: "its handler cannot be loaded." });
  }

  /** @throws PermanentError INVALID_JOB naming every bad field */
  #checked(handler: Handler, given: Readonly<Record<string, unknown>>): Job {
    const envelope = parseWith(jobEnvelope, given);
    if (!envelope.ok) throw invalidJob(envelope.problems);
    const parsed = checkJob(handler, envelope.value);
    if (!parsed.ok) throw invalidJob(parsed.problems);
    return envelope.value;
  }

  async #make(handler: Handler, job: Job, { timeoutSeconds, parent, ...order }: OrderedBy): Promise<RanCall> {
    const { type, worker, retry } = handler;
    const { tracing, workFolder, timeoutSeconds: usual, obstacleTo } = this.#options;
    if (order.signal.aborted) throw endedBy(type, order.signal);
    const obstacle = obstacleTo(job);
    if (obstacle !== null) throw notOffered(type, obstacle);
    const trace = new CallTrace(tracing, { type, worker, jobId: order.jobId, parent });
    const { traceparent } = trace;
    const call = new Call(
      {
        ...order,
        handler,
        job: traceparent === undefined ? job : { ...job, metadata: { ...job.metadata, traceparent } },
        userId: job.user_id,
        workFolder: join(workFolder, `call-${randomUUID()}`, "1"),
        timeoutMs: Math.min(timeoutSeconds ?? usual, retry.timeoutSeconds) * 1000,
        trace,
        characters: JSON.stringify(job).length,
      },
      this.#parts,
      (left) => this.#workers.leave(left),
    );
    this.#workers.add(call);
    return await call.answer;
  }
}
