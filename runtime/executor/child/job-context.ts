import { createHash } from "node:crypto";
import { z } from "zod";
import type { SessionTurn } from "#contract/chat-sessions.ts";
import { checkJob } from "#contract/check-job.ts";
import type { Preset } from "#contract/enhancement-presets.ts";
import { PermanentError } from "#contract/errors.ts";
import type {
  AssetOptions,
  CallOptions,
  ChildJob,
  CommandEngine,
  Handler,
  HandlerContext,
  HandlerLog,
  InputFile,
  JobOutput,
  ModelFolder,
  Preview,
  Stage,
  WeightsFile,
} from "#contract/handler.ts";
import { inputMimeTypes } from "#contract/handler.ts";
import { type IgnoredFields, ignoredBy } from "#contract/ignored-fields.ts";
import { inputFieldsOf } from "#contract/input-fields.ts";
import type { Job } from "#contract/job.ts";
import { isAddress, shownSource } from "#contract/loras.ts";
import { resolveParameters } from "#contract/parameters.ts";
import { invalidJob } from "#contract/problems.ts";
import { isJsonObject } from "#contract/synonyms.ts";
import { pictureSize } from "#runtime/inputs/picture.ts";
import type { Registry } from "#runtime/job-types/registry.ts";
import type { Logger } from "#runtime/observe/log.ts";
import { findLora } from "../loras.ts";
import { findModel, modelVersion, readGenerationConfig } from "../models.ts";
import type { ChildJobRequest, FetchedInput, FetchRequest } from "../protocol.ts";
import { presetsAnswer, type Query, rememberAnswer, sessionAnswer } from "../queries.ts";
import { Calls } from "./calls.ts";
import {
  checkedAsset,
  checkedCall,
  checkedChild,
  checkedInnerJob,
  checkedLora,
  checkedModelName,
  checkedOutput,
  checkedProgress,
  checkedSessionId,
  checkedStage,
  checkedText,
  checkedTurn,
  checkedUrl,
} from "./handed-over.ts";
import { handlerLog } from "./handler-log.ts";
import type { OutgoingCall } from "./outgoing-calls.ts";
import type { WorkFolder } from "./work-folder.ts";

/** What a context needs of the executor around it. */
export interface ContextHost {
  readonly registry: Registry;
  readonly modelsFolder: string;
  readonly cacheFolder: string;
  readonly modelMemoryBytes?: number | undefined;
  readonly engine?: CommandEngine | undefined;
  readonly signal: AbortSignal;
  readonly log: Logger;
  readonly workFolder: WorkFolder;
  reportProgress(progress: { readonly step: number; readonly total: number; readonly preview?: Preview }): void;
  reportStage(stage: Stage): void;
  reportText(delta: string): void;
  call(call: OutgoingCall): Promise<JobOutput>;
  query(query: Query): Promise<unknown>;
  enqueue(child: ChildJobRequest): Promise<string>;
  input(request: FetchRequest): Promise<FetchedInput>;
  modelUsed(name: string): void;
  /** Characters of text that the job's handlers have given so far. */
  textCharacters: number;
  /** Counts the children of the job, whichever of its handlers enqueues them. */
  nextChild(): number;
}

const checkedParts = z.looseObject({
  config: z.record(z.string(), z.unknown()),
  metadata: z.record(z.string(), z.unknown()),
});

/** The job with the `config` and `metadata` that its schema made of them: synonyms have become canonical names. */
function contextJob(job: Job, checked: unknown): Job {
  const found = checkedParts.safeParse(checked);
  return found.success ? { ...job, config: found.data.config, metadata: found.data.metadata } : job;
}

/**
 * Runs a handler to the end of all that it began: what it called without `await` is waited for, and a failure of it is the
 * handler's own.
 * @param stopRest called when the handler has failed, before what it began is waited for
 */
export async function runHandler(
  handler: Handler,
  job: unknown,
  ctx: JobContext,
  stopRest: () => void = () => undefined,
): Promise<JobOutput> {
  let returned: unknown;
  try {
    returned = await handler.run(job, ctx);
  } catch (error) {
    stopRest();
    await ctx.close();
    throw error;
  }
  const failures = await ctx.close();
  if (failures.length > 0) throw failures[0];
  return checkedOutput(handler.type, returned);
}

/** The `ctx` of one run of a handler: all that it may touch. */
export class JobContext implements HandlerContext {
  readonly jobId: string;
  readonly attempt: number;
  readonly #job: Job;
  readonly #handler: Handler;
  readonly #host: ContextHost;
  readonly #calls: Calls;
  readonly log: HandlerLog;
  /** Effective parameters, for the callback. */
  readonly reported: Record<string, unknown> = {};
  /** What was given and nothing reads. */
  readonly ignored: IgnoredFields;

  /** @param checked what the handler's schema made of the job */
  constructor(job: Job, checked: unknown, attempt: number, handler: Handler, host: ContextHost) {
    this.jobId = job.id;
    this.attempt = attempt;
    this.#job = contextJob(job, checked);
    this.#handler = handler;
    this.#host = host;
    this.#calls = new Calls(handler.type, host.log);
    this.log = handlerLog(host.log);
    this.ignored = ignoredBy(handler, job);
  }

  get cacheFolder(): string {
    return this.#host.cacheFolder;
  }

  get modelMemoryBytes(): number | undefined {
    return this.#host.modelMemoryBytes;
  }

  get engine(): CommandEngine | undefined {
    return this.#host.engine;
  }

  get signal(): AbortSignal {
    return this.#host.signal;
  }

  /** The handler has returned. Resolves when what it had called has ended, with the errors that nobody waited for. */
  close(): Promise<readonly unknown[]> {
    return this.#calls.close();
  }

  progress(step: number, total: number, preview?: Preview): void {
    this.#calls.use("progress");
    this.#host.reportProgress(checkedProgress(step, total, preview));
  }

  stage(stage: Stage): void {
    this.#calls.use("stage");
    this.#host.reportStage(checkedStage(stage));
  }

  text(delta: string): void {
    this.#calls.use("text");
    const text = checkedText(delta, this.#host.textCharacters);
    this.#host.textCharacters += text.length;
    if (text !== "") this.#host.reportText(text);
  }

  async parameters(): Promise<Record<string, unknown>> {
    this.#calls.use("parameters");
    const { type, parameters, defaults } = this.#handler;
    const handler = { ...defaults, ...this.#handler.defaultsFor?.(this.#job) };
    if (parameters === undefined) {
      const message = `The handler ${type} has no "parameters": declare them beside its "input".`;
      throw new PermanentError(message, { code: "HANDLER_INVALID" });
    }
    // A command has its own weights, and no folder here.
    const name = this.engine === undefined ? this.#modelName() : undefined;
    const model = name === undefined ? {} : await readGenerationConfig(await findModel(this.#host.modelsFolder, name));
    const resolved = resolveParameters(parameters, { explicit: this.#job.config, model, type, handler });
    this.reported.parameters = resolved.values;
    this.reported.parameter_tiers = resolved.tiers;
    return resolved.values;
  }

  async model(name = this.#modelName()): Promise<ModelFolder> {
    this.#calls.use("model");
    if (name === undefined)
      throw new PermanentError(
        `The handler ${this.#handler.type} names no model; give it a "model" or ask for one by name.`,
      );
    const checked = checkedModelName(name);
    this.#host.modelUsed(checked);
    const { name: folder, path } = await findModel(this.#host.modelsFolder, checked);
    return { name: folder, path, version: await modelVersion(path) };
  }

  input(url: string): Promise<InputFile> {
    return this.#calls.track("input", async () => await this.#input(checkedUrl(url)));
  }

  lora(source: string): Promise<WeightsFile> {
    return this.#calls.track("lora", async () => await this.#lora(checkedLora(source)));
  }

  scratch(): Promise<string> {
    return this.#calls.track("scratch", async () => await this.#host.workFolder.scratch());
  }

  asset(content: Uint8Array | { readonly file: string }, options: AssetOptions): Promise<void> {
    return this.#calls.track("asset", async () => {
      const checked = checkedAsset(content, options);
      await this.#host.workFolder.add(checked.content, checked.options);
    });
  }

  run(type: string, job: Readonly<Record<string, unknown>>): Promise<JobOutput> {
    return this.#calls.track("run", async () => await this.#run(type, checkedInnerJob(job)));
  }

  call(type: string, job: Readonly<Record<string, unknown>>, options: CallOptions = {}): Promise<JobOutput> {
    return this.#calls.track(
      "call",
      async () => await this.#host.call(checkedCall(this.#handler, { type, job, options })),
    );
  }

  presets(): Promise<readonly Preset[]> {
    return this.#calls.track("presets", async () => presetsAnswer.parse(await this.#host.query({ of: "presets" })));
  }

  session(id: string): Promise<{ readonly turns: readonly SessionTurn[] }> {
    return this.#calls.track("session", async () => {
      const query = { of: "session", sessionId: checkedSessionId("session", id) } as const;
      return sessionAnswer.parse(await this.#host.query(query));
    });
  }

  remember(id: string, turn: SessionTurn): Promise<{ readonly isCut: boolean }> {
    return this.#calls.track("remember", async () => {
      const sessionId = checkedSessionId("remember", id);
      return rememberAnswer.parse(await this.#host.query({ of: "remember", sessionId, turn: checkedTurn(turn) }));
    });
  }

  enqueue(child: ChildJob): Promise<string> {
    return this.#calls.track("enqueue", async () => {
      const checked = checkedChild(child);
      return await this.#host.enqueue({ ...checked, id: childId(this.jobId, this.#host.nextChild()) });
    });
  }

  async #input(url: string): Promise<InputFile> {
    this.signal.throwIfAborted();
    await this.#host.workFolder.forInputs();
    const input = await this.#host.input({ url, content: "media" });
    const mimeType = inputMimeTypes.find((known) => known === input.mimeType);
    if (mimeType === undefined) throw new RangeError(`a reference file of the type ${input.mimeType}`);
    const size = mimeType.startsWith("image/") ? await pictureSize(input.file, this.#fieldOf(url)) : {};
    return { ...input, mimeType, ...size };
  }

  /** The field of the job that names this file; undefined where the handler has the address from elsewhere. */
  #fieldOf(url: string): string | undefined {
    const valueAt = (path: readonly string[]) =>
      path.reduce<unknown>((value, name) => (isJsonObject(value) ? value[name] : undefined), { ...this.#job });
    return inputFieldsOf(this.#handler)
      .find(({ path }) => [valueAt(path)].flat().includes(url))
      ?.path.join(".");
  }

  async #lora(source: string): Promise<WeightsFile> {
    this.signal.throwIfAborted();
    if (!isAddress(source)) return await findLora(this.#host.modelsFolder, source);
    await this.#host.workFolder.forInputs();
    const { file, sha256 } = await this.#host.input({ url: source, content: "weights" });
    return { file, version: sha256, name: shownSource(source) };
  }

  async #run(type: string, job: Readonly<Record<string, unknown>>): Promise<JobOutput> {
    const handler = this.#host.registry.get(type);
    if (handler === undefined || handler.worker !== this.#handler.worker) {
      const known = this.#host.registry.all().filter((other) => other.worker === this.#handler.worker);
      throw new PermanentError(
        `"${type}" cannot run inside ${this.#handler.type}: the worker ${this.#handler.worker} has ${known.map((other) => other.type).join(", ")}.`,
        {
          code: "UNKNOWN_JOB_TYPE",
        },
      );
    }
    const inner: Job = { ...this.#job, config: {}, metadata: {}, ...job, type };
    const parsed = checkJob(handler, inner);
    if (!parsed.ok) throw invalidJob(parsed.problems);
    const ctx = new JobContext(inner, parsed.value, this.attempt, handler, this.#host);
    return await runHandler(handler, parsed.value, ctx);
  }

  #modelName(): string | undefined {
    return this.#job.model_variant ?? this.#handler.model;
  }
}

/**
 * The n-th child of a job always has the same id, so that a retried parent enqueues nothing twice: SHA-256 of parent
 * and number, in the form of a version 8 UUID (RFC 9562, section 5.8).
 */
function childId(parentId: string, index: number): string {
  const digest = createHash("sha256").update(`${parentId}/${index}`).digest();
  digest.writeUInt8((digest.readUInt8(6) & 0x0f) | 0x80, 6);
  digest.writeUInt8((digest.readUInt8(8) & 0x3f) | 0x80, 8);
  const hex = digest.toString("hex");
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20, 32)].join("-");
}
