import { CodedError, retryMeaning, toErrorReport } from "#contract/errors.ts";
import type { Logger } from "#runtime/observe/log.ts";
import {
  type AbortReason,
  type AttemptKey,
  type CallRequest,
  type ChildJobRequest,
  type ExecutorTask,
  type FetchedInput,
  type FetchRequest,
  type FromAttempt,
  type HandlerOutcome,
  type HandlerOutput,
  type ProgressMessage,
  type StageMessage,
  sameAttempt,
  type ToAttempt,
} from "../protocol.ts";
import type { Query } from "../queries.ts";
import type { AttemptOutput } from "./attempt-output.ts";

/*
 * The one task of an executor, seen from the dispatcher: free ──take──► taken ──end──► free. A message of an
 * attempt is checked against the key of the attempt that is here, in one place: `receive`.
 */
export type AttemptEnd =
  | HandlerOutcome
  | { readonly kind: "crashed"; readonly evidence: CrashEvidence }
  /** The process, or this one, was stopped for longer than a lease lasts, and it died of that. */
  | { readonly kind: "suspended" }
  /** The process died before it was ready: the job never began. */
  | { readonly kind: "not_started" };

export interface CrashEvidence {
  readonly exitCode: number | null;
  readonly signal: string | null;
  /** The last lines that the process wrote to standard error. */
  readonly lastOutput: string;
}

/** What an attempt may request of the dispatcher process, and report to it. */
export interface TaskHooks {
  /** Its process has the task, and prints into this. */
  onBegin?(output: AttemptOutput): void;
  onProgress(message: ProgressMessage): void;
  onStage(message: StageMessage): void;
  /** The next piece of the text that the handler makes. */
  onText(delta: string): void;
  /** Has a handler of another worker run; the signal ends with the attempt. */
  call(request: CallRequest, control: CallControl): Promise<HandlerOutput>;
  /** Of what the container keeps beside jobs. */
  query(query: Query): Promise<unknown>;
  enqueue(child: ChildJobRequest): Promise<string>;
  /** @param name of the file, without its extension; the signal ends with the attempt */
  input(request: FetchRequest, name: string, signal: AbortSignal): Promise<FetchedInput>;
}

export interface CallControl {
  readonly signal: AbortSignal;
  readonly onText: (delta: string) => void;
}

/** What an executor gets to run: one attempt of a job, and the folder of its files. */
export type TaskRequest = Pick<ExecutorTask, "job" | "workFolder" | "requestId"> &
  Pick<AttemptKey, "jobId" | "attempt">;

interface RunningTask {
  readonly task: ExecutorTask;
  readonly hooks: TaskHooks;
  /** Aborted when the attempt is to stop, and when it has ended. */
  readonly controller: AbortController;
  /** Each ends one call of the attempt. */
  readonly calls: Map<number, AbortController>;
  readonly ended: PromiseWithResolvers<AttemptEnd>;
}

/** Ends what was still under way for an attempt. One for all of them: an error is made with a stack trace. */
const attemptEnded = new CodedError("CANCELLED", "The attempt has ended.");
const callAborted = new CodedError("CANCELLED", "The call was ended by its caller.");

export class TaskSlot {
  readonly #log: Logger;
  readonly #send: (message: ToAttempt) => void;
  #taken: RunningTask | null = null;
  #serial = 0;

  constructor(log: Logger, send: (message: ToAttempt) => void) {
    this.#log = log;
    this.#send = send;
  }

  get task(): ExecutorTask | null {
    return this.#taken?.task ?? null;
  }

  get isFree(): boolean {
    return this.#taken === null;
  }

  holds(key: AttemptKey): boolean {
    return this.#taken !== null && sameAttempt(this.#taken.task.key, key);
  }

  /** Resolves when there is no task any more. */
  async free(): Promise<void> {
    await this.#taken?.ended.promise;
  }

  /** `ended` resolves with how the task ended; never rejects. */
  take({ jobId, attempt, ...rest }: TaskRequest, hooks: TaskHooks) {
    if (this.#taken !== null) throw new Error(`${this.#taken.task.key.jobId} runs: there is one task at a time.`);
    const ended = Promise.withResolvers<AttemptEnd>();
    const task: ExecutorTask = { key: { jobId, attempt, serial: ++this.#serial }, ...rest };
    this.#taken = { task, hooks, controller: new AbortController(), calls: new Map(), ended };
    return { task, ended: ended.promise };
  }

  /** A process has the task. */
  begun(output: AttemptOutput): void {
    this.#taken?.hooks.onBegin?.(output);
  }

  /** The attempt is to stop: what the dispatcher does for it stops at once. */
  abort(reason: AbortReason): void {
    if (this.#taken === null) return;
    this.#taken.controller.abort(new CodedError("CANCELLED", `The job was stopped: ${reason}.`));
    this.#sendTo(this.#taken, { kind: "abort", reason });
  }

  /** A message of an attempt; false when that is not the one that is here, and the message goes no further. */
  receive({ key, message }: FromAttempt): boolean {
    const taken = this.#taken;
    if (taken === null || !sameAttempt(taken.task.key, key)) {
      this.#log.warn(
        { job_id: key.jobId, attempt: key.attempt, kind: message.kind },
        "a message of an attempt that does not run here was dropped",
      );
      return false;
    }
    switch (message.kind) {
      case "progress":
        taken.hooks.onProgress(message);
        break;
      case "stage":
        taken.hooks.onStage(message);
        break;
      case "text":
        taken.hooks.onText(message.delta);
        break;
      case "call":
        void this.#call(taken, message.requestId, message.request);
        break;
      case "abort_call":
        taken.calls.get(message.requestId)?.abort(callAborted);
        break;
      case "query":
        void this.#query(taken, message.requestId, message.query);
        break;
      case "enqueue":
        void this.#enqueue(taken, message.requestId, message.child);
        break;
      case "input":
        void this.#input(taken, message.requestId, message);
        break;
      case "ended":
        break;
    }
    return true;
  }

  /** The task has ended, in whatever way. */
  end(end: AttemptEnd): void {
    const taken = this.#taken;
    this.#taken = null;
    taken?.controller.abort(attemptEnded);
    taken?.ended.resolve(end);
  }

  async #enqueue(taken: RunningTask, requestId: number, child: ChildJobRequest): Promise<void> {
    try {
      const childId = await taken.hooks.enqueue(child);
      this.#sendTo(taken, { kind: "enqueued", requestId, childId });
    } catch (error) {
      this.#sendTo(taken, { kind: "enqueue_failed", requestId, error: toErrorReport(error) });
    }
  }

  async #query(taken: RunningTask, requestId: number, query: Query): Promise<void> {
    try {
      this.#sendTo(taken, { kind: "query_answered", requestId, answer: await taken.hooks.query(query) });
    } catch (error) {
      const failure = { error: toErrorReport(error), retry: retryMeaning(error) };
      this.#sendTo(taken, { kind: "query_failed", requestId, ...failure });
    }
  }

  async #call(taken: RunningTask, requestId: number, request: CallRequest): Promise<void> {
    const own = new AbortController();
    taken.calls.set(requestId, own);
    try {
      const output = await taken.hooks.call(request, {
        signal: AbortSignal.any([own.signal, taken.controller.signal]),
        onText: (delta) => this.#sendTo(taken, { kind: "call_text", requestId, delta }),
      });
      this.#sendTo(taken, { kind: "call_ended", requestId, output });
    } catch (error) {
      const failure = { error: toErrorReport(error), retry: retryMeaning(error) };
      this.#sendTo(taken, { kind: "call_failed", requestId, ...failure });
    } finally {
      taken.calls.delete(requestId);
    }
  }

  async #input(taken: RunningTask, requestId: number, request: FetchRequest): Promise<void> {
    try {
      const input = await taken.hooks.input(request, String(requestId), taken.controller.signal);
      this.#sendTo(taken, { kind: "input_ready", requestId, input });
    } catch (error) {
      this.#sendTo(taken, { kind: "input_failed", requestId, error: toErrorReport(error) });
    }
  }

  #sendTo(taken: RunningTask, message: ToAttempt["message"]): void {
    if (this.#taken === taken) this.#send({ kind: "attempt", key: taken.task.key, message });
  }
}
