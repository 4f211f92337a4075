import { type CodedError, type ErrorReport, RetryableError, toErrorReport } from "#contract/errors.ts";
import type { Job } from "#contract/job.ts";
import type { Executor } from "#runtime/executor/parent/executor.ts";
import type { AttemptEnd } from "#runtime/executor/parent/task-slot.ts";
import type { Logger } from "#runtime/observe/log.ts";
import type { Call, RunningCall } from "./call.ts";
import { failureOf, isConditionOf, lineFull, notOffered, restarted, shuttingDown } from "./call-failure.ts";
import { CallLine } from "./call-line.ts";

/*
 * The workers' executors as calls see them. Each worker has one line (call-line.ts) and one executor, so that one handler of it
 * runs at a time. A call takes the executor before the jobs on the worker's queue do; what runs on it is let finish.
 */
export interface CalledWorkersOptions {
  readonly executors: ReadonlyMap<string, Executor>;
  readonly log: Logger;
  /** How long a call may wait. */
  readonly waitSeconds: number;
  /** How many calls over HTTP may wait for one worker. */
  readonly maxWaiting: number;
  /** Why a job would not be run here now; null when it would. */
  obstacleTo(job: Job): ErrorReport | null;
  /** A call has found what keeps this container from running its handler. */
  onCondition(condition: ErrorReport, called: { readonly job: Job }): Promise<void>;
  /** A called handler that nobody stopped has ended. */
  onAttemptEnd(attempt: CalledAttempt): void;
  /** Whether the container is not ready yet: calls wait. */
  isBlocked(): boolean;
}

export interface CalledAttempt {
  readonly lease: { readonly jobId: string; readonly job: Job };
  readonly worker: string;
  readonly end: AttemptEnd;
}

/** What is called of a worker now. */
export interface WorkerCalls {
  readonly running: RunningCall | null;
  readonly waiting: number;
  /** Those that had no turn since the start of the container. */
  readonly refused: number;
}

interface Waiting {
  readonly line: CallLine<Call>;
  readonly limit: NodeJS.Timeout;
}

/** Of the bodies of calls over HTTP that wait, in all lines together. */
const maxCharacters = 16_000_000;
const retryAfter = { minSeconds: 1, maxSeconds: 120, guessSeconds: 5 };

export class CalledWorkers {
  readonly #options: CalledWorkersOptions;
  readonly #lines = new Map<string, CallLine<Call>>();
  readonly #waiting = new Map<Call, Waiting>();
  readonly #running = new Map<Call, Promise<void>>();
  /** How long calls of a worker took lately. */
  readonly #usualSeconds = new Map<string, number>();
  readonly #refused = new Map<string, number>();
  #characters = 0;
  #isClosed = false;

  constructor(options: CalledWorkersOptions) {
    this.#options = options;
  }

  /** Calls that run. */
  get active(): number {
    return this.#running.size;
  }

  /** How many calls wait for the worker's executor, which is then not for the jobs on its queue. */
  waiting(worker: string): number {
    return this.#lines.get(worker)?.size ?? 0;
  }

  /** Whether a call has the worker's executor. */
  has(worker: string): boolean {
    return this.#runningOn(worker) !== undefined;
  }

  of(worker: string): WorkerCalls {
    const running = this.#runningOn(worker)?.running ?? null;
    return { running, waiting: this.waiting(worker), refused: this.#refused.get(worker) ?? 0 };
  }

  #runningOn(worker: string): Call | undefined {
    return [...this.#running.keys()].find(({ order }) => order.handler.worker === worker);
  }

  /** Puts the call into its worker's line, and runs it when it is its turn. */
  add(call: Call): void {
    const { handler, characters } = call.order;
    const { waitSeconds, maxWaiting } = this.#options;
    const { worker } = handler;
    const refusal = this.#refusal(call);
    if (refusal !== null) {
      this.#refuse(call, refusal);
      return;
    }
    const line = this.#lines.get(worker) ?? new CallLine<Call>(maxWaiting);
    this.#lines.set(worker, line);
    const tooLong = () => this.#refuse(call, this.#full(call, `${worker} had no turn for it in ${waitSeconds} s.`));
    this.#waiting.set(call, { line, limit: setTimeout(tooLong, waitSeconds * 1000) });
    this.#characters += characters;
    const displaced = line.add(call);
    if (displaced !== null)
      this.#refuse(displaced, this.#full(displaced, `${maxWaiting} calls wait for ${worker}, which is the limit.`));
    this.serve(worker);
  }

  /** Calls of jobs are bounded by what runs here. */
  #refusal(call: Call): CodedError | null {
    const { handler, isOfJob, characters } = call.order;
    if (isOfJob) return null;
    if (this.#isClosed) return shuttingDown(handler.type);
    return this.#characters + characters > maxCharacters ? this.#full(call, "Too much waits here.") : null;
  }

  /** Its caller left: it takes no turn. */
  leave(call: Call): void {
    const waiting = this.#waiting.get(call);
    if (waiting === undefined) return;
    this.#waiting.delete(call);
    this.#characters -= call.order.characters;
    clearTimeout(waiting.limit);
    waiting.line.remove(call);
  }

  /** What the worker's calls wait for may be there. */
  serve(worker: string): void {
    const line = this.#lines.get(worker);
    if (line === undefined || line.size === 0) return;
    for (const call of line.all()) {
      const obstacle = this.#options.obstacleTo(call.order.job);
      if (obstacle !== null) this.#refuse(call, notOffered(call.order.handler.type, obstacle));
    }
    const executor = this.#options.executors.get(worker);
    // Not one that loads, as a job may have: the time of a call is its handler's.
    while (executor?.available === true && executor.status.state === "idle" && !this.#options.isBlocked()) {
      const call = line.next();
      if (call === undefined) break;
      this.leave(call);
      this.#begin(call, executor);
    }
  }

  serveAll(): void {
    for (const worker of this.#lines.keys()) this.serve(worker);
  }

  /** Refuses calls over HTTP from now on, and those that wait. Calls of jobs go on as long as their jobs do. */
  close(): void {
    this.#isClosed = true;
    for (const call of [...this.#waiting.keys()])
      if (!call.isOfJob) this.#refuse(call, shuttingDown(call.order.handler.type));
  }

  /** Resolves when no call runs any more. */
  async settled(): Promise<void> {
    while (this.#running.size > 0) await Promise.all(this.#running.values());
  }

  /** Ends the calls that run: all, as a shutdown does when its grace is over, or those of a worker that is started anew. */
  release(worker?: string): void {
    for (const call of this.#running.keys()) {
      const { handler } = call.order;
      if (worker === undefined) call.end(shuttingDown(handler.type), "shutdown");
      else if (handler.worker === worker) call.end(restarted(handler), "shutdown");
    }
  }

  #refuse(call: Call, error: CodedError): void {
    const { worker } = call.order.handler;
    this.leave(call);
    call.refuse(error);
    this.#refused.set(worker, (this.#refused.get(worker) ?? 0) + 1);
  }

  #full(call: Call, message: string) {
    const { worker, type } = call.order.handler;
    const seconds = (this.#usualSeconds.get(worker) ?? retryAfter.guessSeconds) * (this.waiting(worker) + 1);
    const bounded = Math.min(retryAfter.maxSeconds, Math.max(retryAfter.minSeconds, Math.ceil(seconds)));
    return lineFull(type, message, bounded);
  }

  #begin(call: Call, executor: Executor): void {
    const run = this.#run(call, executor).catch((error: unknown) => {
      this.#options.log.error({ ...call.fields, error }, "a call could not be run");
      call.fail(new RetryableError(toErrorReport(error).message, { code: "INTERNAL" }));
    });
    this.#running.set(call, run);
    void run.then(() => this.#running.delete(call));
  }

  async #run(call: Call, executor: Executor): Promise<void> {
    const end = await call.run(executor);
    if (!call.isAnswered) this.#ended(call, executor.worker, end);
    await call.removeFiles();
  }

  #ended(call: Call, worker: string, end: AttemptEnd): void {
    const { handler, job, jobId } = call.order;
    const { onAttemptEnd, onCondition, log } = this.#options;
    onAttemptEnd({ lease: { jobId, job }, worker, end });
    if (end.kind === "completed") {
      const { metadata, enhancedPrompt, text } = end;
      const { ranSeconds } = call.complete({ metadata, enhancedPrompt, text });
      this.#usualSeconds.set(worker, 0.7 * (this.#usualSeconds.get(worker) ?? ranSeconds) + 0.3 * ranSeconds);
      return;
    }
    call.fail(failureOf(end, { handler, job }));
    if (end.kind !== "failed" || !isConditionOf(end.error, handler, job)) return;
    onCondition(end.error, { job }).catch((error: unknown) => log.error({ error }, "a condition could not be noted"));
  }
}
