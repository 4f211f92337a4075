import { checkJob } from "#contract/check-job.ts";
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
import { invalidJob, unknownJobType } from "#contract/problems.ts";
import type { Registry } from "#runtime/job-types/registry.ts";
import type { Logger } from "#runtime/observe/log.ts";
import { traceFields } from "#runtime/observe/tracing/traceparent.ts";
import {
  type AbortReason,
  type AttemptKey,
  type AttemptOutcome,
  attemptOutcome,
  type ChildJobRequest,
  type ExecutorSettings,
  type ExecutorTask,
  type FetchedInput,
  type FromAttempt,
  type ToAttempt,
} from "../protocol.ts";
import { contextJob, JobContext } from "./job-context.ts";
import { Requests } from "./requests.ts";
import { WorkFolder } from "./work-folder.ts";

export interface AttemptHost {
  readonly registry: Registry;
  readonly settings: ExecutorSettings;
  readonly log: Logger;
  send(message: FromAttempt["message"]): void;
  modelUsed(name: string): void;
}

/** One task inside the executor: its handler, its signal and what it has asked of the dispatcher process. */
export class Attempt {
  readonly #task: ExecutorTask;
  readonly #host: AttemptHost;
  readonly #log: Logger;
  readonly #controller = new AbortController();
  readonly #enqueues = new Requests<string>();
  readonly #inputs = new Requests<FetchedInput>();
  readonly #workFolder: WorkFolder;
  #abortReason: AbortReason | null = null;
  #children = 0;
  /** The model that was asked for last. */
  #model: string | undefined;

  constructor(task: ExecutorTask, host: AttemptHost) {
    this.#task = task;
    this.#host = host;
    const { key, job } = task;
    const fields = { job_id: key.jobId, attempt: key.attempt, type: job.type, ...traceFields(job.metadata) };
    this.#log = host.log.child(fields);
    this.#workFolder = new WorkFolder(task.workFolder);
  }

  get key(): AttemptKey {
    return this.#task.key;
  }

  /** The first reason counts. */
  abort(reason: AbortReason): void {
    if (this.#abortReason !== null) return;
    this.#abortReason = reason;
    const code = reason === "timed_out" ? "TIMED_OUT" : "CANCELLED";
    this.#controller.abort(new CodedError(code, `The job was stopped: ${reason}.`));
  }

  receive(message: ToAttempt["message"]): void {
    switch (message.kind) {
      case "abort":
        this.abort(message.reason);
        break;
      case "enqueued":
        this.#enqueues.resolve(message.requestId, message.childId);
        break;
      case "enqueue_failed":
        this.#enqueues.reject(message.requestId, answeredError(message.error));
        break;
      case "input_ready":
        this.#inputs.resolve(message.requestId, message.input);
        break;
      case "input_failed":
        this.#inputs.reject(message.requestId, answeredError(message.error));
        break;
    }
  }

  /** Never rejects: whatever is thrown becomes the attempt's outcome. */
  async run(): Promise<AttemptOutcome> {
    const { registry } = this.#host;
    const { type } = this.#task.job;
    try {
      const handler = registry.get(type);
      if (handler === undefined) throw unknownJobType(type, registry.types);
      return await this.#runHandler(handler);
    } catch (error) {
      if (this.#abortReason !== null) return { kind: "aborted", reason: this.#abortReason };
      this.#log.error({ error }, "the handler failed");
      return {
        kind: "failed",
        error: withModel(describeFailure(error), this.#model),
        retry: isDiskFull(error) ? "backoff" : retryMeaning(error),
      };
    } finally {
      await this.#workFolder
        .removeInputs()
        .catch((error: unknown) => this.#log.warn({ error }, "reference files are left behind"));
    }
  }

  async #runHandler(handler: Handler): Promise<AttemptOutcome> {
    const { job, key } = this.#task;
    const { registry, settings, modelUsed } = this.#host;
    const parsed = checkJob(handler, job);
    if (!parsed.ok) throw invalidJob(parsed.problems);
    const ctx = new JobContext(contextJob(job, parsed.value), key.attempt, handler, {
      registry,
      modelsFolder: settings.modelsFolder,
      signal: this.#controller.signal,
      log: this.#log,
      workFolder: this.#workFolder,
      reportProgress: (step, total, preview) => this.#reportProgress(step, total, preview),
      reportStage: (stage) => this.#reportStage(stage),
      enqueue: (child) => this.#enqueue(child),
      input: (url) => this.#input(url),
      nextChild: () => this.#children++,
      modelUsed: (name) => {
        this.#model = name;
        modelUsed(name);
      },
    });
    const output = await handler.run(parsed.value, ctx);
    return completed(handler, this.#workFolder, { ...ctx.reported, ...output?.metadata }, output?.enhanced_prompt);
  }

  #reportProgress(step: number, total: number, preview: Preview | undefined): void {
    this.#host.send({ kind: "progress", step, total, ...(preview === undefined ? {} : { preview }) });
  }

  #reportStage(stage: Stage): void {
    this.#host.send({ kind: "stage", startedAtMs: Date.now() - stage.seconds * 1000, ...stage });
  }

  #enqueue(child: ChildJobRequest): Promise<string> {
    const { requestId, answer } = this.#enqueues.open();
    this.#host.send({ kind: "enqueue", requestId, child });
    return answer;
  }

  /** Done by the dispatcher process: it has the key with which expired addresses are renewed, and no handlers. */
  #input(url: string): Promise<FetchedInput> {
    const { requestId, answer } = this.#inputs.open();
    this.#host.send({ kind: "input", requestId, url });
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

/** What is wrong with a model is about the one that was asked for last: its folder is looked for, or it is loaded. */
function withModel(error: ErrorReport, model: string | undefined): ErrorReport {
  if (!error.code.startsWith("MODEL_") || model === undefined || error.details !== undefined) return error;
  return { ...error, details: { model } };
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
