import { AsyncLocalStorage } from "node:async_hooks";
import { basename, dirname, relative } from "node:path";
import { checkJob } from "#contract/check-job.ts";
import { CodedError } from "#contract/errors.ts";
import type { CommandEngine, Handler, JobOutput } from "#contract/handler.ts";
import { type IgnoredFields, namedOf } from "#contract/ignored-fields.ts";
import { safeJson } from "#contract/plain-json.ts";
import { invalidJob, unknownJobType } from "#contract/problems.ts";
import type { Registry } from "#runtime/job-types/registry.ts";
import { type CodePlace, codeFrame, codePlace } from "#runtime/lib/code-place.ts";
import type { Logger } from "#runtime/observe/log.ts";
import { traceFields } from "#runtime/observe/tracing/traceparent.ts";
import type {
  AbortReason,
  AttemptKey,
  ExecutorSettings,
  ExecutorTask,
  FetchedInput,
  FromAttempt,
  HandlerOutcome,
  ToAttempt,
} from "../protocol.ts";
import { LateCallError } from "./calls.ts";
import { failedOutcome, repeatedError, reportedError } from "./failure.ts";
import { loggedError } from "./handler-log.ts";
import { JobContext, runHandler } from "./job-context.ts";
import { OutgoingCalls } from "./outgoing-calls.ts";
import { Requests } from "./requests.ts";
import { WorkFolder } from "./work-folder.ts";

export interface AttemptHost {
  readonly registry: Registry;
  readonly settings: ExecutorSettings;
  readonly engine: CommandEngine | undefined;
  readonly log: Logger;
  send(message: FromAttempt["message"]): void;
  modelUsed(name: string): void;
  /** Kills the processes that this one has started; resolves with how many there were. @param thoroughly also finds those that have left it */
  killProcesses(thoroughly: boolean): Promise<number>;
}

/** The attempt that the code which runs now was started by, also when that attempt has ended. */
const owner = new AsyncLocalStorage<Attempt>();

export function attemptOfThisCode(): Attempt | undefined {
  return owner.getStore();
}

/** Stops what an attempt left behind. One for all of them: an error is made with a stack trace. */
const attemptEnded = new CodedError("CANCELLED", "The attempt has ended.");

/**
 * One task inside the executor: its handler, its signal and its requests to the dispatcher process.
 *
 *   running ──run returns──► what it began without await ends ──► ended
 *   running ──it throws, is stopped, or an error is caught by nobody──► what it began is stopped ──► ended
 */
export class Attempt {
  readonly #task: ExecutorTask;
  readonly #host: AttemptHost;
  readonly #log: Logger;
  readonly #controller = new AbortController();
  readonly #enqueues = new Requests<string>();
  readonly #inputs = new Requests<FetchedInput>();
  readonly #queries = new Requests<unknown>();
  readonly #calls: OutgoingCalls;
  readonly #workFolder: WorkFolder;
  #abortReason: AbortReason | null = null;
  #uncaught: { readonly error: unknown } | null = null;
  #hasEnded = false;
  #children = 0;
  /** The last requested model. */
  #model: string | undefined;

  constructor(task: ExecutorTask, host: AttemptHost) {
    this.#task = task;
    this.#host = host;
    const { key, job, requestId } = task;
    const named = requestId === undefined ? {} : { requestId };
    const fields = { job_id: key.jobId, ...named, attempt: key.attempt, type: job.type, ...traceFields(job.metadata) };
    this.#log = host.log.child(fields);
    this.#workFolder = new WorkFolder(task.workFolder);
    this.#calls = new OutgoingCalls(host.send);
  }

  get key(): AttemptKey {
    return this.#task.key;
  }

  get hasEnded(): boolean {
    return this.#hasEnded;
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
        this.#enqueues.reject(message.requestId, reportedError(message.error));
        break;
      case "input_ready":
        this.#inputs.resolve(message.requestId, message.input);
        break;
      case "input_failed":
        this.#inputs.reject(message.requestId, reportedError(message.error));
        break;
      case "query_answered":
        this.#queries.resolve(message.requestId, message.answer);
        break;
      case "query_failed":
        this.#queries.reject(message.requestId, repeatedError(message));
        break;
      case "call_text":
      case "call_ended":
      case "call_failed":
        this.#calls.receive(message);
        break;
    }
  }

  /**
   * An error in code of this attempt that nobody caught. It stops and fails the attempt, unless that has ended or nothing is
   * lost. True when the handler has to end now.
   */
  uncaught(error: unknown): boolean {
    if (error instanceof LateCallError && !error.loses) return false;
    if (this.#hasEnded) {
      this.#log.warn({ error: loggedError(error) }, "an error that nobody caught, after the attempt had ended");
      return false;
    }
    this.#uncaught ??= { error };
    this.#controller.abort(error);
    // Who has stopped it sees to its end.
    return this.#abortReason === null;
  }

  /** Never rejects: whatever is thrown becomes the attempt's outcome. */
  async run(): Promise<HandlerOutcome> {
    const outcome = await owner.run(this, () => this.#outcome());
    this.#hasEnded = true;
    this.#controller.abort(attemptEnded);
    await this.#killProcesses(outcome);
    await this.#workFolder
      .removeTemporary()
      .catch((error: unknown) => this.#log.warn({ error }, "reference files or files under way are left behind"));
    return outcome;
  }

  /** What the handler has spawned ends with its attempt: a program that goes on would have the GPU, and write into the folder. */
  async #killProcesses({ kind }: HandlerOutcome): Promise<void> {
    const processes = await this.#host.killProcesses(kind !== "completed");
    if (processes > 0)
      this.#log.warn({ processes }, "what the handler had spawned was still running and has been killed");
  }

  async #outcome(): Promise<HandlerOutcome> {
    const { registry } = this.#host;
    const { type } = this.#task.job;
    try {
      const handler = registry.get(type);
      if (handler === undefined) throw unknownJobType(type, registry.types);
      const { metadata, enhanced_prompt, text } = await this.#runHandler(handler);
      if (this.#uncaught !== null) throw this.#uncaught.error;
      return {
        kind: "completed",
        assets: [...this.#workFolder.assets],
        metadata: { ...metadata },
        ...(enhanced_prompt === undefined ? {} : { enhancedPrompt: enhanced_prompt }),
        ...(text === undefined ? {} : { text }),
      };
    } catch (thrown) {
      if (this.#abortReason !== null) return { kind: "aborted", reason: this.#abortReason };
      // What nobody caught came first: it stopped the rest.
      const { error } = this.#uncaught ?? { error: thrown };
      const place = placeOf(error);
      const frame = place === null ? {} : { frame: codeFrame(place) };
      this.#log.error({ error: loggedError(error), ...frame }, "the handler failed");
      return failedOutcome(error, this.#model, place && this.#shown(place));
    }
  }

  /** Without the machine's own folders: `handlers/paint.ts`. */
  #shown({ file, ...place }: CodePlace): CodePlace {
    const path = relative(dirname(this.#host.settings.handlersFolder), file);
    return { ...place, file: path.startsWith("..") ? basename(file) : path };
  }

  async #runHandler(handler: Handler): Promise<JobOutput> {
    const { job, key } = this.#task;
    const parsed = checkJob(handler, job);
    if (!parsed.ok) throw invalidJob(parsed.problems);
    const ctx = new JobContext(job, parsed.value, key.attempt, handler, this.#contextHost());
    const output = await runHandler(handler, parsed.value, ctx, () => this.#stopRest());
    // Parameters are what a schema made of them, which need not be JSON.
    const reported = safeJson(ctx.reported);
    const metadata = { ...(typeof reported === "object" ? reported : {}), ...output.metadata };
    return { ...output, metadata: { ...metadata, ...allIgnored(ctx.ignored, output.metadata) } };
  }

  #contextHost() {
    const { registry, settings, engine, send, modelUsed } = this.#host;
    return {
      registry,
      modelsFolder: settings.modelsFolder,
      cacheFolder: settings.cacheFolder,
      modelMemoryBytes: settings.modelMemoryBytes,
      engine,
      signal: this.#controller.signal,
      log: this.#log,
      workFolder: this.#workFolder,
      reportProgress: (progress) => send({ kind: "progress", ...progress }),
      reportStage: (stage) => send({ kind: "stage", startedAtMs: Date.now() - stage.seconds * 1000, ...stage }),
      reportText: (delta) => send({ kind: "text", delta }),
      call: (call) => this.#calls.make(call, this.#controller.signal),
      query: (query) => this.#queries.open((requestId) => send({ kind: "query", requestId, query })),
      enqueue: (child) => this.#enqueues.open((requestId) => send({ kind: "enqueue", requestId, child })),
      // Done by the dispatcher process: it has the key with which expired addresses are renewed, and no handlers.
      input: (request) => this.#inputs.open((requestId) => send({ kind: "input", requestId, ...request })),
      textCharacters: 0,
      nextChild: () => this.#children++,
      modelUsed: (name) => {
        this.#model = name;
        modelUsed(name);
      },
    } satisfies ConstructorParameters<typeof JobContext>[4];
  }

  /** The handler has failed: nobody waits for what it had begun. */
  #stopRest(): void {
    this.#controller.abort(attemptEnded);
    this.#enqueues.rejectAll(attemptEnded);
    this.#inputs.rejectAll(attemptEnded);
    this.#queries.rejectAll(attemptEnded);
    this.#calls.rejectAll(attemptEnded);
  }
}

/** With those that the handler had no use for with this job's other values. */
function allIgnored({ ignored, ignored_more }: IgnoredFields, metadata: JobOutput["metadata"]): IgnoredFields {
  return namedOf(
    [ignored, metadata?.ignored].flatMap((names) => (Array.isArray(names) ? names : [])),
    ignored_more,
  );
}

/** Where a handler's own error was made; null also for a value that throws when it is looked at. */
function placeOf(error: unknown): CodePlace | null {
  try {
    return error instanceof CodedError ? null : codePlace(error);
  } catch {
    return null;
  }
}
