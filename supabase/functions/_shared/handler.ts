import type { z } from "zod";
import type { SessionTurn } from "./chat-sessions.ts";
import type { JobSchema } from "./check-job.ts";
import type { Preset } from "./enhancement-presets.ts";
import type { PromptReading, PromptTexts } from "./prompt-reading.ts";

/** For handlers outside the project's folder, where no package is found. */
export { z } from "zod";

/** What a job's handler returns. Assets are not returned: they are handed to `ctx.asset` as they are made. */
export interface JobOutput {
  /**
   * Plain JSON. Goes into the callback's `metadata`, beside what the runtime adds (timings, effective parameters, worker and
   * job type), which goes first under the same name.
   */
  readonly metadata?: Readonly<Record<string, unknown>>;
  readonly enhanced_prompt?: string;
  /** The whole text that a handler which `produces` text has made. */
  readonly text?: string;
}

/** How a handler of another worker is called. */
export interface CallOptions {
  /** Ends the call, which is then rejected with the signal's reason. The end of the caller's own attempt does it anyway. */
  readonly signal?: AbortSignal;
  /** What the called handler gives to its `ctx.text`, piece by piece. */
  readonly onText?: (delta: string) => void;
  /** How long the called handler may run, from its own start; CALL_TIMEOUT_SECONDS, and its own limit, when left out. */
  readonly timeoutSeconds?: number;
}

/** Characters that one attempt may give to `ctx.text` in all: whoever reads them may be slow, and they are kept for it. */
export const maxTextCharacters = 1_000_000;

/** A small encoded picture of the unfinished result. */
export interface Preview {
  readonly mimeType: "image/webp" | "image/png" | "image/jpeg";
  readonly bytes: Uint8Array;
}

/** A folder of ONNX files and configs, found by name in the models directory. */
export interface ModelFolder {
  /** Real name of the folder, after aliases: `tiny-sdxl`. */
  readonly name: string;
  /** Absolute path. */
  readonly path: string;
  /** Another one after a file of the folder was written to or replaced: what was loaded from it before is out of date. */
  readonly version: string;
}

/** What a reference file may be; told from its first bytes, never from its name or headers. */
export const inputMimeTypes = [
  "image/png",
  "image/jpeg",
  "image/webp",
  "image/gif",
  "video/mp4",
  "video/quicktime",
  "video/webm",
] as const;
export type InputMimeType = (typeof inputMimeTypes)[number];

/** Weights in a safetensors file: what {@link HandlerContext.lora} takes. */
export interface WeightsFile {
  /** Absolute path. Not to be written to: others may use the same file. */
  readonly file: string;
  /** Another one for other content. */
  readonly version: string;
  /** Its source as it may be shown: an address without the query, where tokens are. */
  readonly name: string;
}

/** A reference file that the job named, on this machine. */
export interface InputFile {
  /** Absolute path of a copy that is this attempt's own; it is gone when the attempt has ended. */
  readonly file: string;
  readonly mimeType: InputMimeType;
  readonly sizeBytes: number;
  /** Hexadecimal, of the content. */
  readonly sha256: string;
  /** Pixels, of a picture: as stored, before its orientation tag is applied; of an animated one, of its first frame. */
  readonly width?: number;
  readonly height?: number;
}

export interface AssetOptions {
  readonly type: "image" | "video" | "text";
  /** Without the dot: `png`. */
  readonly extension: string;
  readonly mimeType: string;
  readonly thumbnail?: { readonly extension: string; readonly mimeType: string; readonly bytes: Uint8Array };
  /** Seed, width, height and the like; sent with the asset in the callback. */
  readonly metadata?: Readonly<Record<string, unknown>>;
}

/** A part of the work that has ended. */
export interface Stage {
  /** One of few names that are fixed in the code, in snake_case: `load`, `encode`, `denoise`. */
  readonly name: string;
  readonly seconds: number;
  /** When it began, on the machine's clock; left out when it has ended just now. */
  readonly startedAtMs?: number;
  /** Of the stage `load`: the model that was loaded, and the one that had to go for it. */
  readonly model?: string;
  readonly freed?: string;
}

/** An external command that runs a worker's jobs in the place of the pipelines here. */
export interface CommandEngine {
  /** The program and its first arguments. */
  readonly command: readonly string[];
  /** Its arguments by name, as its help lists them, each with its choices where the help has those. */
  readonly options: Readonly<Record<string, readonly string[]>>;
  /** All that is in its environment. */
  readonly environment: Readonly<Record<string, string>>;
  /** Where its weights are. */
  readonly checkpointsFolder?: string | undefined;
  /** What these weights are for, by a name of the original command line. */
  readonly task: string;
  /** Limit of one run; undefined: as long as the job may take. */
  readonly timeoutSeconds?: number | undefined;
}

export interface HandlerLog {
  debug(fields: Readonly<Record<string, unknown>>, message: string): void;
  info(fields: Readonly<Record<string, unknown>>, message: string): void;
  warn(fields: Readonly<Record<string, unknown>>, message: string): void;
  error(fields: Readonly<Record<string, unknown>>, message: string): void;
}

/** A job to enqueue from within a job. Its id follows from the parent's, so that a retried parent makes no second child. */
export interface ChildJob {
  readonly type: string;
  readonly prompt?: string;
  readonly config?: Readonly<Record<string, unknown>>;
  readonly metadata?: Readonly<Record<string, unknown>>;
  /** Any other field of a job (`negative_prompt`, `model_variant`, `bucket`); the id, user and priority are given to it. */
  readonly [field: string]: unknown;
}

/**
 * All that a handler may touch; `Parameters` is what its `parameters` makes of a job. Each method checks at the call what it
 * gets, and throws a PermanentError HANDLER_FAILED that names the place (`metadata.seed: a BigInt is not JSON`). Its time is
 * that of `run`: what the methods that return a promise have begun when `run` returns is waited for, and fails the attempt when
 * it fails; a later call of any method throws HANDLER_FAILED.
 */
export interface HandlerContext<Parameters = unknown> {
  readonly jobId: string;
  /** Counted from 1. */
  readonly attempt: number;
  /** Aborted on cancel, time-out and shutdown; check it (or pass it on) between steps. */
  readonly signal: AbortSignal;
  readonly log: HandlerLog;
  /**
   * A folder that outlives jobs and starts, for what can be computed again. It may be emptied while no job runs; each kind of
   * content has a folder of its own in it, made and bounded by who writes it.
   */
  readonly cacheFolder: string;
  /**
   * How much memory the weights of the worker's model may take together, in bytes (MODEL_MEMORY_MB); undefined: as the device
   * has room. For code that can load a model in parts.
   */
  readonly modelMemoryBytes?: number | undefined;
  /** The command that runs this worker's jobs (`WAN_ENGINE=process`); undefined: the pipelines here do. */
  readonly engine?: CommandEngine | undefined;
  /**
   * Reports `step` of `total`, with a picture of the state when there is one. Cheap: call it at every step. Both are finite
   * and at least 0, and `step` is not more than `total`.
   */
  progress(step: number, total: number, preview?: Preview): void;
  /** Reports a stage that has ended, for metrics and traces. */
  stage(stage: Stage): void;
  /**
   * The next piece of the text that the handler makes, for who reads along: the caller of a call, a stream over HTTP, the events
   * of a job. Cheap: call it for every token. 1,000,000 characters in all; what the job's result is, `run` returns.
   */
  text(delta: string): void;
  /**
   * The job's parameters by tier: explicit in `config` › the model's `generation_config.json` (its sampler preset, its
   * values for the job type, its values for all) › the handler's `defaults` › the defaults of `parameters`. What was used is
   * reported in the callback.
   * @throws PermanentError INVALID_JOB naming each bad field, its value and what is allowed; MODEL_INVALID or
   *   HANDLER_INVALID when only the model's or the handler's own values are wrong; HANDLER_INVALID when the handler
   *   declares no `parameters`
   */
  parameters(): Promise<Parameters>;
  /** The model folder of this name (`job.model_variant` or the handler's `model` when left out).
   * @throws PermanentError MODEL_NOT_FOUND with the folders that were looked at */
  model(name?: string): Promise<ModelFolder>;
  /**
   * Downloads a reference file, guarded: https to a public address, 50 MB, 30 s, a picture or video by its content.
   * Signed addresses of the app's own storage that have expired are renewed when the file is the job's user's own.
   * @throws PermanentError INPUT_REFUSED, INPUT_NOT_FOUND, INPUT_EXPIRED, INPUT_TOO_LARGE, INPUT_INVALID;
   *   RetryableError INPUT_UNREACHABLE
   */
  input(url: string): Promise<InputFile>;
  /**
   * The file of a LoRA: downloaded as {@link input} does it, up to LORA_MAX_MB, when the source is a URL; else the file of
   * this name in the folder `loras` of the models directory, with or without `.safetensors`.
   * @throws PermanentError LORA_NOT_FOUND; what `input` throws
   */
  lora(source: string): Promise<WeightsFile>;
  /**
   * A folder of this attempt's own for files under way, such as a video that is being encoded: on the disk of finished files,
   * so that handing one over moves no bytes. What is left in it goes when the attempt has ended.
   */
  scratch(): Promise<string>;
  /**
   * Hands over a finished file, which is a regular one, no link. It is on disk, fsynced, when the promise resolves; it is
   * delivered after `run` returns. `options.metadata` is plain JSON.
   */
  asset(content: Uint8Array | { readonly file: string }, options: AssetOptions): Promise<void>;
  /** Runs another handler of the same worker here and now, under this job's lease, and returns its output. */
  run(type: string, job: Readonly<Record<string, unknown>>): Promise<JobOutput>;
  /**
   * Has a handler of another worker of this container do something, and waits for what it returns: the handler's `calls` must
   * name it. The called handler runs on its own executor, before the jobs on its queue, for the same user; its time counts
   * in this job's limit, and it ends with this attempt. Its files are not kept. At most 8 calls at a time.
   * @throws CALL_NOT_OFFERED at once when this container cannot run it now, so that the caller can do without; TIMED_OUT;
   *   EXECUTOR_CRASHED; else what the called handler threw, with its code: a PermanentError when it would throw it again
   */
  call(type: string, job: Readonly<Record<string, unknown>>, options?: CallOptions): Promise<JobOutput>;
  /** The presets of prompt enhancement that this container has: shipped ones, and the operator's own. */
  presets(): Promise<readonly Preset[]>;
  /**
   * What is remembered of a conversation of the job's user, the oldest turn first; none of a session that is not known. What
   * an earlier attempt of this job has added is left out.
   * @throws RetryableError SESSIONS_UNREACHABLE
   */
  session(id: string): Promise<{ readonly turns: readonly SessionTurn[] }>;
  /**
   * Adds a turn to a conversation of the job's user, in place of what an earlier attempt of this job has added. Texts of more
   * than 32,768 bytes of UTF-8 are kept without their end, which `isCut` reports.
   * @throws RetryableError SESSIONS_UNREACHABLE
   */
  remember(id: string, turn: SessionTurn): Promise<{ readonly isCut: boolean }>;
  /** Puts a durable child job, plain JSON, on its queue and returns its id. */
  enqueue(job: ChildJob): Promise<string>;
}

/** Looks at model folders without loading one. */
export interface ModelCheck {
  /** Whether a model of this class is of the kind: `_class_name` in `model_index.json`, or what `config.json` names first. */
  takes(className: string): boolean;
  /** Reads what loading reads of configs. @throws an error that says what is wrong with the folder */
  read(folder: string): Promise<unknown>;
}

export interface RetryPolicy {
  /** Attempts in all, the first included. */
  readonly maxAttempts: number;
  /** Wall-clock limit of one attempt; past it the job is aborted, and its executor killed if that does not help. */
  readonly timeoutSeconds: number;
  /** First pause; doubles with each attempt, with jitter. */
  readonly backoffSeconds?: number;
}

/** A job type: its schema, its policy and its body. */
export interface Handler<Input extends z.ZodType = z.ZodType, Parameters extends z.ZodObject = z.ZodObject>
  extends JobSchema<Input> {
  /** Name of the job type; the file is called `<type>.ts`. */
  readonly type: string;
  /** Group of job types that share a queue and a process. */
  readonly worker: string;
  /** Model that the job needs unless it names a `model_variant` of its own. */
  readonly model?: string;
  /** For `ourvidz models` and forms: without it, a model counts as in order when its files are whole. */
  readonly modelCheck?: ModelCheck;
  /** What a completed job must have made; `text` and `nothing` may complete without an asset. */
  readonly produces: "image" | "video" | "text" | "nothing";
  readonly description?: string;
  /**
   * Job types of other workers that `run` calls with `ctx.call`; others are refused. Workers never call each other in a circle,
   * which is checked when handlers are loaded: so no call waits for one that waits for it.
   */
  readonly calls?: readonly string[];
  /**
   * What the pipeline does with `config`, each value with its range: every door checks it, forms and descriptions show it,
   * and `ctx.parameters()` resolves it. What is not in it is listed as ignored.
   */
  readonly parameters?: Parameters;
  readonly retry: RetryPolicy;
  /**
   * What the model in a folder makes of prompts, before anything is computed: it counts tokens and reads weights. Called in
   * a process of its own, and killed when it takes long.
   */
  readonly readPrompt?: (texts: PromptTexts, modelFolder: string) => Promise<PromptReading>;
  run(job: z.output<Input>, ctx: HandlerContext<z.output<Parameters>>): Promise<JobOutput>;
}

/** Types a handler file: the type of `job` in `run` comes from `input`, that of `ctx.parameters()` from `parameters`. */
export function defineHandler<Input extends z.ZodType, Parameters extends z.ZodObject = z.ZodObject<NoParameters>>(
  handler: Handler<Input, Parameters>,
): Handler<Input, Parameters> {
  return handler;
}

type NoParameters = Readonly<Record<never, never>>;
