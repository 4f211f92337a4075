import { memoryUsage } from "node:process";
import {
  CodedError,
  type ErrorReport,
  errorStatus,
  PermanentError,
  RetryableError,
  retryMeaning,
  toErrorReport,
} from "#contract/errors.ts";
import type { Handler, Preview, Stage } from "#contract/handler.ts";
import { invalidJob, parseWith, unknownJobType } from "#contract/problems.ts";
import type { Registry } from "#runtime/job-types/registry.ts";
import type { Logger } from "#runtime/observe/log.ts";
import { traceFields } from "#runtime/observe/tracing/traceparent.ts";
import {
  type AbortReason,
  type AttemptOutcome,
  attemptOutcome,
  type ChildJobRequest,
  type ExecutorSettings,
  type ExecutorTask,
  type FetchedInput,
  type FromExecutor,
  type ToExecutor,
} from "../protocol.ts";
import { contextJob, JobContext } from "./job-context.ts";
import { Questions } from "./questions.ts";
import { WorkFolder } from "./work-folder.ts";

export interface ExecutorProcessOptions {
  readonly registry: Registry;
  readonly settings: ExecutorSettings;
  readonly log: Logger;
  /** Resolves when the message has left this process. */
  readonly send: (message: FromExecutor) => Promise<void>;
}

interface CurrentJob {
  readonly jobId: string;
  readonly controller: AbortController;
  reason: AbortReason | null;
  readonly done: Promise<void>;
}

/** The executor's inside: runs one task at a time and answers what the dispatcher says meanwhile. */
export class ExecutorProcess {
  readonly #options: ExecutorProcessOptions;
  readonly #enqueues = new Questions<string>();
  readonly #inputs = new Questions<FetchedInput>();
  readonly #heldModels = new Set<string>();
  #current: CurrentJob | null = null;

  constructor(options: ExecutorProcessOptions) {
    this.#options = options;
  }

  receive(message: Exclude<ToExecutor, { kind: "stop" }>): void {
    switch (message.kind) {
      case "run":
        this.#start(message.task);
        break;
      case "abort":
        this.#abort(message.jobId, message.reason);
        break;
      case "enqueued":
        this.#enqueues.answer(message.requestId, message.jobId);
        break;
      case "enqueue_failed":
        this.#enqueues.refuse(message.requestId, answeredError(message.error));
        break;
      case "input_ready":
        this.#inputs.answer(message.requestId, message.input);
        break;
      case "input_failed":
        this.#inputs.refuse(message.requestId, answeredError(message.error));
        break;
    }
  }

  /** Aborts what runs and resolves when it has ended. */
  async stop(): Promise<void> {
    if (this.#current === null) return;
    this.#abort(this.#current.jobId, "shutdown");
    await this.#current.done;
  }

  #start(task: ExecutorTask): void {
    const controller = new AbortController();
    const { promise, resolve } = Promise.withResolvers<void>();
    const current: CurrentJob = { jobId: task.jobId, controller, reason: null, done: promise };
    this.#current = current;
    void this.#attempt(task, current)
      .then((outcome) => {
        this.#current = null;
        return this.#options.send({
          kind: "ended",
          jobId: task.jobId,
          outcome,
          heldModels: [...this.#heldModels],
          memoryBytes: memoryUsage.rss(),
        });
      })
      .finally(resolve);
  }

  #abort(jobId: string, reason: AbortReason): void {
    if (this.#current?.jobId !== jobId || this.#current.reason !== null) return;
    this.#current.reason = reason;
    this.#current.controller.abort(
      new CodedError(reason === "timed_out" ? "TIMED_OUT" : "CANCELLED", `The job was stopped: ${reason}.`),
    );
  }

  /** Never rejects: whatever is thrown becomes the attempt's outcome. */
  async #attempt(task: ExecutorTask, current: CurrentJob): Promise<AttemptOutcome> {
    const { jobId, attempt, job } = task;
    const fields = { job_id: jobId, attempt, type: job.type, ...traceFields(job.metadata) };
    const log = this.#options.log.child(fields);
    const workFolder = new WorkFolder(task.workFolder);
    try {
      const handler = this.#options.registry.get(task.job.type);
      if (handler === undefined) throw unknownJobType(task.job.type, this.#options.registry.types);
      return await this.#runHandler(handler, task, current, workFolder, log);
    } catch (error) {
      if (current.reason !== null) return { kind: "aborted", reason: current.reason };
      log.error({ error }, "the handler failed");
      return {
        kind: "failed",
        error: describeFailure(error),
        retry: isDiskFull(error) ? "backoff" : retryMeaning(error),
      };
    } finally {
      await workFolder.removeInputs().catch((error: unknown) => log.warn({ error }, "reference files are left behind"));
    }
  }

  async #runHandler(
    handler: Handler,
    task: ExecutorTask,
    current: CurrentJob,
    workFolder: WorkFolder,
    log: Logger,
  ): Promise<AttemptOutcome> {
    const parsed = parseWith(handler.input, task.job);
    if (!parsed.ok) throw invalidJob(parsed.problems);
    let children = 0;
    const ctx = new JobContext(contextJob(task.job, parsed.value), task.attempt, handler, {
      registry: this.#options.registry,
      modelsFolder: this.#options.settings.modelsFolder,
      signal: current.controller.signal,
      log,
      workFolder,
      reportProgress: (step, total, preview) => this.#reportProgress(task.jobId, step, total, preview),
      reportStage: (stage) => this.#reportStage(task.jobId, stage),
      enqueue: (child) => this.#enqueue(task.jobId, child),
      input: (url) => this.#input(task.jobId, url),
      nextChild: () => children++,
      modelUsed: (name) => {
        this.#heldModels.clear();
        this.#heldModels.add(name);
      },
    });
    const output = await handler.run(parsed.value, ctx);
    return completed(handler, workFolder, { ...ctx.reported, ...output?.metadata }, output?.enhanced_prompt);
  }

  #reportProgress(jobId: string, step: number, total: number, preview: Preview | undefined): void {
    void this.#options.send({ kind: "progress", jobId, step, total, ...(preview === undefined ? {} : { preview }) });
  }

  #reportStage(jobId: string, stage: Stage): void {
    void this.#options.send({ kind: "stage", jobId, startedAtMs: Date.now() - stage.seconds * 1000, ...stage });
  }

  #enqueue(jobId: string, child: ChildJobRequest): Promise<string> {
    const { requestId, answer } = this.#enqueues.ask();
    void this.#options.send({ kind: "enqueue", requestId, jobId, child });
    return answer;
  }

  /** Asked of the dispatcher process: it has the key with which expired addresses are renewed, and no handlers. */
  #input(jobId: string, url: string): Promise<FetchedInput> {
    const { requestId, answer } = this.#inputs.ask();
    void this.#options.send({ kind: "input", requestId, jobId, url });
    return answer;
  }
}

/** What a handler returned, checked: it goes into a database and over the wire. */
function completed(
  handler: Handler,
  workFolder: WorkFolder,
  metadata: unknown,
  enhancedPrompt: unknown,
): AttemptOutcome {
  try {
    return attemptOutcome.parse({
      kind: "completed",
      assets: [...workFolder.assets],
      metadata: JSON.parse(JSON.stringify(metadata)),
      enhancedPrompt: enhancedPrompt ?? undefined,
    });
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new PermanentError(`The handler ${handler.type} returned what cannot be sent as JSON: ${why}`, { cause });
  }
}

/** What can never be had (a child of no known type, a file that is refused) ends the job; what does not answer may later. */
function answeredError({ code, message, details }: ErrorReport): Error {
  const isFinal = errorStatus[code] < 500;
  return isFinal ? new PermanentError(message, { code, details }) : new RetryableError(message, { code, details });
}

function isDiskFull(error: unknown): boolean {
  return error instanceof Error && "code" in error && (error.code === "ENOSPC" || error.code === "EDQUOT");
}

function describeFailure(error: unknown): ErrorReport {
  if (isDiskFull(error)) {
    return {
      code: "DISK_FULL",
      message:
        "The disk is full while writing an asset: free some space in the data folder (DATA_DIR), and retry the job.",
    };
  }
  return toErrorReport(error, "HANDLER_FAILED");
}
