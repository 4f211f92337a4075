import { CodedError, PermanentError, toErrorReport } from "#contract/errors.ts";
import type { Handler } from "#contract/handler.ts";
import type { Job } from "#contract/job.ts";
import { inputsFolder, removeWork } from "#runtime/container/data-folder.ts";
import type { Executor, RunningTask } from "#runtime/executor/parent/executor.ts";
import type { AttemptEnd, CallControl, TaskHooks } from "#runtime/executor/parent/task-slot.ts";
import type { AbortReason, CallRequest, HandlerOutput } from "#runtime/executor/protocol.ts";
import type { AnswerQuery } from "#runtime/executor/queries.ts";
import type { JobInputs } from "#runtime/inputs/connect-inputs.ts";
import { awakeTimeout } from "#runtime/lib/awake-timeout.ts";
import type { Logger } from "#runtime/observe/log.ts";
import type { Metrics } from "#runtime/observe/metrics/metrics.ts";
import { recordStage } from "#runtime/observe/metrics/record-stage.ts";
import type { CallTrace } from "#runtime/observe/tracing/call-trace.ts";
import { traceFields } from "#runtime/observe/tracing/traceparent.ts";
import { endedBy, timedOut } from "./call-failure.ts";
import type { InLine } from "./call-line.ts";

/*
 * One call, from the moment that it is made:
 *
 *   waiting ──its turn──► running ──its handler ends, or its executor dies──► answered
 *      │                     └── its time is over, its caller left, a stop: answered at once, and its executor is free when the
 *      │                         handler has stopped, or was killed with its process after the grace
 *      └── its caller left, it waited too long, others need its place, a stop ──► answered
 */
export interface CallOrder extends InLine {
  readonly handler: Handler;
  readonly job: Job;
  /** What its executor logs it under: the calling job, or an id of its own. */
  readonly jobId: string;
  readonly attempt: number;
  /** Another one each time that the calling job runs. */
  readonly runId: string;
  /** The calling job's type; "http" without one. */
  readonly caller: string;
  readonly workFolder: string;
  /** How long it may run. */
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
  readonly onText?: ((delta: string) => void) | undefined;
  readonly trace: CallTrace;
  /** Size of its job as JSON. */
  readonly characters: number;
}

export interface CallParts {
  readonly inputs: JobInputs;
  readonly metrics: Metrics;
  readonly log: Logger;
  readonly abortGraceSeconds: number;
  readonly answerQuery: AnswerQuery;
  /** A call that this one's handler makes. */
  callFrom(call: Call, request: CallRequest, control: CallControl): Promise<HandlerOutput>;
}

export interface RanCall {
  readonly output: HandlerOutput;
  readonly waitedSeconds: number;
  readonly ranSeconds: number;
}

/** A call that has its worker's executor. */
export interface RunningCall {
  readonly type: string;
  /** The calling job's type; "http" without one. */
  readonly caller: string;
  readonly seconds: number;
  /** That its handler has made so far: of a language model, tokens. */
  readonly steps: number;
  /** It is answered already, and its handler is to stop. */
  readonly isStopping: boolean;
}

/** How a call was answered; `refused`: it has not run. */
export type CallOutcome = "completed" | "failed" | "cancelled" | "timed_out" | "refused";

export class Call implements InLine {
  readonly order: CallOrder;
  readonly #parts: CallParts;
  readonly #answer = Promise.withResolvers<RanCall>();
  readonly #madeAtMs = performance.now();
  #startedAtMs: number | null = null;
  #steps = 0;
  #isAnswered = false;
  #task: RunningTask | null = null;
  #killer: NodeJS.Timeout | null = null;

  /** @param onLeft called when its caller left while it was waiting */
  constructor(order: CallOrder, parts: CallParts, onLeft: (call: Call) => void) {
    this.order = order;
    this.#parts = parts;
    const onAbort = () => {
      onLeft(this);
      const error = endedBy(order.handler.type, order.signal);
      this.end(error, error.code === "TIMED_OUT" ? "timed_out" : "cancelled");
    };
    order.signal.addEventListener("abort", onAbort, { once: true });
    const over = () => order.signal.removeEventListener("abort", onAbort);
    this.#answer.promise.then(over, over);
  }

  get userId(): string {
    return this.order.userId;
  }

  get isOfJob(): boolean {
    return this.order.isOfJob;
  }

  /** Rejects with a CodedError. */
  get answer(): Promise<RanCall> {
    return this.#answer.promise;
  }

  get isAnswered(): boolean {
    return this.#isAnswered;
  }

  get running(): RunningCall {
    const { handler, caller } = this.order;
    const shown = { type: handler.type, caller, seconds: this.#ranSeconds(), steps: this.#steps };
    return { ...shown, isStopping: this.#isAnswered };
  }

  get fields() {
    const { jobId, attempt, handler, caller, job } = this.order;
    return { job_id: jobId, attempt, call: handler.type, caller, ...traceFields(job.metadata) };
  }

  /** Runs it on an available executor, which is free again when this resolves. Never rejects. */
  async run(executor: Executor): Promise<AttemptEnd> {
    const { jobId, attempt, job, handler, workFolder, timeoutMs, trace } = this.order;
    this.#startedAtMs = performance.now();
    this.#parts.metrics.callWaitSeconds.observe({ type: handler.type }, this.#waitedSeconds());
    this.#parts.log.info(this.fields, "call started");
    trace.runs();
    const task = executor.run({ jobId, attempt, job, workFolder }, this.#hooks(executor.worker));
    this.#task = task;
    const clearLimit = awakeTimeout(timeoutMs, () => this.end(timedOut(handler.type, timeoutMs), "timed_out"));
    const end = await task.ended;
    clearLimit();
    this.#task = null;
    if (this.#killer) clearTimeout(this.#killer);
    trace.ran();
    return end;
  }

  /** After its run: what its handler fetched and made goes. */
  async removeFiles(): Promise<void> {
    await removeWork(this.order.workFolder).catch((error: unknown) =>
      this.#parts.log.warn({ ...this.fields, error }, "files of a call are left behind"),
    );
  }

  complete(output: HandlerOutput): RanCall {
    const ran = { output, waitedSeconds: this.#waitedSeconds(), ranSeconds: this.#ranSeconds() };
    if (this.#answered("completed")) this.#answer.resolve(ran);
    return ran;
  }

  /** The called handler failed, or its executor died. */
  fail(error: CodedError): void {
    if (this.#answered("failed", error)) this.#answer.reject(error);
  }

  /** It is not to run, or not any longer. A handler that does not stop within the grace is killed with its process. */
  end(error: CodedError, reason: AbortReason): void {
    const isRunning = this.#task !== null;
    const outcome = reason === "timed_out" || reason === "cancelled" ? reason : isRunning ? "failed" : "refused";
    if (!this.#answered(outcome, error)) return;
    this.#answer.reject(error);
    this.#task?.abort(reason);
    if (isRunning) this.#killer = setTimeout(() => this.#task?.kill(), this.#parts.abortGraceSeconds * 1000);
  }

  /** Its turn does not come. */
  refuse(error: CodedError): void {
    if (this.#answered("refused", error)) this.#answer.reject(error);
  }

  /** The first answer counts. */
  #answered(outcome: CallOutcome, error?: CodedError): boolean {
    if (this.#isAnswered) return false;
    this.#isAnswered = true;
    const { handler, trace, isOfJob } = this.order;
    const { metrics, log } = this.#parts;
    const report = error === undefined ? {} : { error: toErrorReport(error) };
    metrics.calls.add({ type: handler.type, caller: isOfJob ? "job" : "http", outcome });
    if (this.#startedAtMs !== null) metrics.callSeconds.observe({ type: handler.type, outcome }, this.#ranSeconds());
    trace.answered(outcome, report.error);
    log.info({ ...this.fields, outcome, seconds: this.#ranSeconds(), ...report }, "call ended");
    return true;
  }

  #stepped(step: number): void {
    if (step <= this.#steps) return;
    this.#parts.metrics.callSteps.add({ type: this.order.handler.type }, step - this.#steps);
    this.#steps = step;
  }

  /** What its caller's own function throws ends it, and nothing else. */
  #onText(delta: string): void {
    if (this.#isAnswered) return;
    try {
      this.order.onText?.(delta);
    } catch (cause) {
      const { handler } = this.order;
      this.end(new CodedError("INTERNAL", `The text of ${handler.type} could not be taken.`, { cause }), "cancelled");
    }
  }

  #waitedSeconds(): number {
    return ((this.#startedAtMs ?? performance.now()) - this.#madeAtMs) / 1000;
  }

  #ranSeconds(): number {
    return this.#startedAtMs === null ? 0 : (performance.now() - this.#startedAtMs) / 1000;
  }

  #hooks(worker: string): TaskHooks {
    const { handler, job, jobId, runId, userId, workFolder, trace } = this.order;
    const { inputs, metrics, answerQuery, callFrom } = this.#parts;
    return {
      onProgress: ({ step }) => this.#stepped(step),
      onStage: (message) => {
        trace.stage(message);
        recordStage(metrics, { type: handler.type, worker }, message);
      },
      onText: (delta) => this.#onText(delta),
      call: (request, control) => callFrom(this, request, control),
      query: (query) => answerQuery(query, { userId, jobId, runId }),
      enqueue: () => Promise.reject(cannotEnqueue(job.type)),
      input: ({ url, content }, name, signal) =>
        inputs.fetch({ url, content, userId, folder: inputsFolder(workFolder), name, signal }),
    };
  }
}

/** Its id would be a child's of the calling job, and a call may be made again. */
function cannotEnqueue(type: string): CodedError {
  return new PermanentError(`${type} was called, and a called handler enqueues nothing: let its caller do it.`, {
    code: "UNSUPPORTED_OPTION",
  });
}
