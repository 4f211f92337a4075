import { z } from "zod";
import { type ErrorCode, errorStatus } from "#contract/errors.ts";
import { jobEnvelope } from "#contract/job.ts";
import { engineSettings } from "#runtime/engines/engine-settings.ts";
import { fetchedMimeTypes, type InputKind, inputKinds } from "#runtime/inputs/limits.ts";
import { query } from "./queries.ts";

/*
 * The messages between the dispatcher process and an executor, over IPC (structured clone, so bytes stay bytes). What
 * belongs to an attempt travels in one envelope with its key, which each side checks in one place.
 * Both sides validate: a child that was built from other code must not confuse the dispatcher.
 */
const errorCodes = Object.keys(errorStatus);
const errorCode = z.custom<ErrorCode>((value) => typeof value === "string" && errorCodes.includes(value));

export const errorReport = z.object({
  code: errorCode,
  message: z.string(),
  details: z.unknown().optional(),
  permanent: z.boolean().optional(),
});

export const abortReasons = ["cancelled", "timed_out", "shutdown", "lease_lost"] as const;
export type AbortReason = (typeof abortReasons)[number];

const record = z.record(z.string(), z.unknown());
const bytes = z.custom<Uint8Array>((value) => value instanceof Uint8Array, "must be bytes");

/** A finished file in the job's work folder, fsynced. */
export const assetFile = z.object({
  index: z.number().int().min(0),
  type: z.enum(["image", "video", "text"]),
  file: z.string(),
  extension: z.string(),
  mimeType: z.string(),
  sizeBytes: z.number().int().min(0),
  thumbnail: z.object({ file: z.string(), extension: z.string(), mimeType: z.string() }).optional(),
  metadata: record,
});
export type AssetFile = z.output<typeof assetFile>;

/**
 * Which attempt a message belongs to. `serial` counts the tasks of an executor: a job that was given back, or redriven,
 * comes again with a number that it had before.
 */
export const attemptKey = z.object({ jobId: z.string(), attempt: z.number().int().min(1), serial: z.number().int() });
export type AttemptKey = z.output<typeof attemptKey>;

export function sameAttempt(left: AttemptKey, right: AttemptKey): boolean {
  return left.serial === right.serial && left.jobId === right.jobId && left.attempt === right.attempt;
}

const mark = "\u001e";

/** What an executor prints on both its streams when an attempt has ended: see process-output.ts. */
export const endMark = {
  of: (serial: number) => `${mark}attempt ${serial} ended${mark}\n`,
  pattern: new RegExp(`${mark}attempt (\\d{1,15}) ended${mark}\\n`, "g"),
  first: mark,
  maxCharacters: 40,
} as const;

export const executorTask = z.object({
  key: attemptKey,
  job: jobEnvelope,
  /** Absolute path of this attempt's own folder; the executor creates it. */
  workFolder: z.string(),
  /** For its log lines, where the platform has a name of its own for the job. */
  requestId: z.string().optional(),
});
export type ExecutorTask = z.output<typeof executorTask>;

/** A reference file in the attempt's folder, as the dispatcher process fetched it. */
export const fetchedInput = z.object({
  file: z.string(),
  mimeType: z.enum(fetchedMimeTypes),
  sizeBytes: z.number(),
  sha256: z.string(),
});
/** A reference file that an attempt wants. */
export interface FetchRequest {
  readonly url: string;
  readonly content: InputKind;
}

export type FetchedInput = z.output<typeof fetchedInput>;

const retryMeaning = z.union([z.literal("never"), z.literal("backoff"), z.object({ delaySeconds: z.number().min(0) })]);
export type RetryMeaning = z.output<typeof retryMeaning>;

/** What `run` returned. */
const outputFields = { metadata: record, enhancedPrompt: z.string().optional(), text: z.string().optional() };
export const handlerOutput = z.object(outputFields);
export type HandlerOutput = z.output<typeof handlerOutput>;

/** What a handler wants of a handler of another worker. */
export const callRequest = z.object({
  type: z.string(),
  job: record,
  timeoutSeconds: z.number().positive().optional(),
  /** Whether somebody listens to the text while it is made. */
  wantsText: z.boolean(),
});
export type CallRequest = z.output<typeof callRequest>;

/** A message of the dispatcher to one attempt. */
const toAttempt = z.object({
  kind: z.literal("attempt"),
  key: attemptKey,
  message: z.discriminatedUnion("kind", [
    z.object({ kind: z.literal("abort"), reason: z.enum(abortReasons) }),
    z.object({ kind: z.literal("enqueued"), requestId: z.number(), childId: z.string() }),
    z.object({ kind: z.literal("enqueue_failed"), requestId: z.number(), error: errorReport }),
    z.object({ kind: z.literal("input_ready"), requestId: z.number(), input: fetchedInput }),
    z.object({ kind: z.literal("input_failed"), requestId: z.number(), error: errorReport }),
    z.object({ kind: z.literal("query_answered"), requestId: z.number(), answer: z.unknown() }),
    z.object({ kind: z.literal("query_failed"), requestId: z.number(), error: errorReport, retry: retryMeaning }),
    z.object({ kind: z.literal("call_text"), requestId: z.number(), delta: z.string() }),
    z.object({ kind: z.literal("call_ended"), requestId: z.number(), output: handlerOutput }),
    z.object({ kind: z.literal("call_failed"), requestId: z.number(), error: errorReport, retry: retryMeaning }),
  ]),
});
export type ToAttempt = z.output<typeof toAttempt>;

export const toExecutor = z.discriminatedUnion("kind", [
  z.object({ kind: z.literal("run"), task: executorTask }),
  toAttempt,
  z.object({ kind: z.literal("stop") }),
]);
export type ToExecutor = z.output<typeof toExecutor>;

export const childJob = z.looseObject({
  id: z.string(),
  type: z.string(),
  prompt: z.string().optional(),
  config: record.optional(),
  metadata: record.optional(),
});
export type ChildJobRequest = z.output<typeof childJob>;

export const handlerOutcome = z.discriminatedUnion("kind", [
  z.object({
    kind: z.literal("completed"),
    assets: z.array(assetFile),
    ...outputFields,
  }),
  z.object({ kind: z.literal("failed"), error: errorReport, retry: retryMeaning }),
  z.object({ kind: z.literal("aborted"), reason: z.enum(abortReasons) }),
]);
export type HandlerOutcome = z.output<typeof handlerOutcome>;

/** A message of one attempt to the dispatcher; `ended` is its last. */
const fromAttempt = z.object({
  kind: z.literal("attempt"),
  key: attemptKey,
  message: z.discriminatedUnion("kind", [
    z.object({
      kind: z.literal("progress"),
      step: z.number(),
      total: z.number(),
      preview: z.object({ mimeType: z.enum(["image/webp", "image/png", "image/jpeg"]), bytes }).optional(),
    }),
    z.object({
      kind: z.literal("stage"),
      name: z.string().regex(/^[a-z][a-z0-9_]{0,39}$/),
      startedAtMs: z.number(),
      seconds: z.number().min(0),
      model: z.string().optional(),
      freed: z.string().optional(),
    }),
    z.object({ kind: z.literal("text"), delta: z.string() }),
    z.object({ kind: z.literal("enqueue"), requestId: z.number(), child: childJob }),
    z.object({ kind: z.literal("query"), requestId: z.number(), query }),
    z.object({ kind: z.literal("call"), requestId: z.number(), request: callRequest }),
    z.object({ kind: z.literal("abort_call"), requestId: z.number() }),
    z.object({ kind: z.literal("input"), requestId: z.number(), url: z.string(), content: z.enum(inputKinds) }),
    z.object({
      kind: z.literal("ended"),
      outcome: handlerOutcome,
      heldModels: z.array(z.string()),
      memoryBytes: z.number(),
    }),
  ]),
});
export type FromAttempt = z.output<typeof fromAttempt>;
export type StageMessage = Extract<FromAttempt["message"], { kind: "stage" }>;
export type ProgressMessage = Extract<FromAttempt["message"], { kind: "progress" }>;

/** A file of the handlers folder that the process could not load. */
const handlerProblem = z.object({ type: z.string(), problem: z.string() });

export const fromExecutor = z.discriminatedUnion("kind", [
  z.object({ kind: z.literal("ready"), types: z.array(z.string()), problems: z.array(handlerProblem) }),
  z.object({ kind: z.literal("unusable"), error: errorReport }),
  fromAttempt,
]);
export type FromExecutor = z.output<typeof fromExecutor>;

/** What an executor process gets at its start, as its one argument (JSON). */
export const executorSettings = z.object({
  worker: z.string(),
  handlersFolder: z.string(),
  modelsFolder: z.string(),
  /** For what can be computed again; made by who writes there. */
  cacheFolder: z.string(),
  /** How much memory the weights of a model may take together; absent: as the device has room. */
  modelMemoryBytes: z.number().min(0).optional(),
  /** Runs the worker's jobs in the place of the pipelines. */
  engine: engineSettings.optional(),
  log: z.object({ level: z.string(), format: z.enum(["json", "pretty", "runpod"]) }),
});
export type ExecutorSettings = z.output<typeof executorSettings>;
