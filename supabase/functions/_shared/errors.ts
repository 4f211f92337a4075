/**
 * Coded errors. The union of codes is closed: HTTP, callback and CLI each translate it in one place.
 * Retry meaning is thrown, not flagged: a PermanentError is never retried, a RetryableError is retried
 * after its delay, anything else is retried until the handler's `maxAttempts`.
 */

import { safeJson, shortText } from "./plain-json.ts";
import { redact, redactValue } from "./redact.ts";

export { redact };

/** Every code with the HTTP status that it becomes. */
export const errorStatus = {
  INVALID_REQUEST: 400,
  UNAUTHORIZED: 401,
  FORBIDDEN: 403,
  POLICY_REFUSED: 403,
  NOT_FOUND: 404,
  JOB_NOT_FOUND: 404,
  METHOD_NOT_ALLOWED: 405,
  REQUEST_TIMEOUT: 408,
  IDEMPOTENCY_CONFLICT: 409,
  JOB_ALREADY_SETTLED: 409,
  JOB_NOT_FAILED: 409,
  JOB_NOT_QUEUED: 409,
  JOB_NOT_RETRYABLE: 409,
  JOB_NOT_SETTLED: 409,
  RESULT_UNREADABLE: 409,
  BODY_TOO_LARGE: 413,
  RESULT_TOO_LARGE: 413,
  UNSUPPORTED_MEDIA_TYPE: 415,
  RANGE_NOT_SATISFIABLE: 416,
  INVALID_JOB: 422,
  UNKNOWN_JOB_TYPE: 422,
  UNDECODABLE_JOB: 422,
  UNSUPPORTED_OPTION: 422,
  LORA_INVALID: 422,
  LORA_NOT_FOUND: 422,
  MODEL_NOT_FOUND: 422,
  MODEL_UNSUITABLE: 422,
  ASSET_PATH_REFUSED: 422,
  INPUT_REFUSED: 422,
  WEBHOOK_REFUSED: 422,
  INPUT_NOT_FOUND: 422,
  INPUT_EXPIRED: 422,
  INPUT_TOO_LARGE: 422,
  INPUT_INVALID: 422,
  DEPENDENCY_FAILED: 424,
  ASSET_REFUSED: 422,
  TOO_MANY_JOBS: 429,
  TOO_MANY_REQUESTS: 429,
  HEADERS_TOO_LARGE: 431,
  CANCELLED: 499,
  INTERNAL: 500,
  CONFIG_INVALID: 500,
  HANDLER_INVALID: 500,
  HANDLER_FAILED: 500,
  MODEL_INVALID: 500,
  NUMERICAL_ERROR: 500,
  ENCODING_FAILED: 500,
  ENGINE_FAILED: 500,
  NO_ASSETS: 500,
  EXECUTOR_CRASHED: 500,
  ATTEMPTS_EXHAUSTED: 500,
  LEASE_EXPIRED: 500,
  DATA_FOLDER_UNUSABLE: 500,
  PORT_IN_USE: 500,
  WORKER_UNREACHABLE: 502,
  HUB_REFUSED: 502,
  STORAGE_REFUSED: 502,
  CALLBACK_REFUSED: 502,
  NOT_READY: 503,
  NO_ACTIVE_WORKER: 503,
  CALL_NOT_OFFERED: 503,
  DATABASE_UNREACHABLE: 503,
  SESSIONS_UNREACHABLE: 503,
  STORAGE_UNREACHABLE: 503,
  CALLBACK_UNREACHABLE: 503,
  WEBHOOK_UNREACHABLE: 503,
  AUTH_UNREACHABLE: 503,
  OVERLOADED: 503,
  SHUTTING_DOWN: 503,
  QUEUE_UNREACHABLE: 503,
  QUEUE_OVER_QUOTA: 503,
  QUEUE_DATA_LOST: 503,
  INPUT_UNREACHABLE: 503,
  HUB_UNREACHABLE: 503,
  REGISTRATION_FAILED: 503,
  OUT_OF_MEMORY: 503,
  MODEL_TOO_LARGE: 503,
  DEVICE_LOST: 503,
  DEVICE_FAULT: 503,
  FFMPEG_MISSING: 503,
  ENGINE_UNAVAILABLE: 503,
  TIMED_OUT: 504,
  EXPIRED: 504,
  DISK_FULL: 507,
  QUEUE_FULL: 507,
  INPUTS_FULL: 507,
} as const;

export type ErrorCode = keyof typeof errorStatus;

/** An error as it is stored with a job, sent in a callback and printed by the CLI. */
export interface ErrorReport {
  readonly code: ErrorCode;
  readonly message: string;
  readonly details?: unknown;
  /** The job can never succeed as it is. Absent: it may, but for codes that say otherwise (`isPermanent`). */
  readonly permanent?: boolean | undefined;
}

export interface CodedErrorOptions {
  readonly details?: unknown;
  readonly cause?: unknown;
}

export class CodedError extends Error {
  readonly code: ErrorCode;
  readonly details: unknown;

  constructor(code: ErrorCode, message: string, options: CodedErrorOptions = {}) {
    super(safeMessage(message), { cause: options.cause });
    this.name = new.target.name;
    this.code = code;
    this.details = safeDetails(options.details);
  }

  get status(): number {
    return errorStatus[this.code];
  }
}

/** The job can never succeed as it is (bad input): it fails at once, whatever attempts are left. */
export class PermanentError extends CodedError {
  constructor(message: string, options: CodedErrorOptions & { readonly code?: ErrorCode } = {}) {
    super(options.code ?? "HANDLER_FAILED", message, options);
  }

  /** As errors of the pipelines say it, which know no classes of the runtime. */
  get permanent(): true {
    return true;
  }
}

/** The job may succeed later. `delaySeconds` replaces the computed backoff when it is given. */
export class RetryableError extends CodedError {
  readonly delaySeconds: number | undefined;

  constructor(
    message: string,
    options: CodedErrorOptions & { readonly code?: ErrorCode; readonly delaySeconds?: number } = {},
  ) {
    super(options.code ?? "HANDLER_FAILED", message, options);
    this.delaySeconds = options.delaySeconds;
  }
}

/**
 * Any thrown value as a report. An error of another make (a pipeline's own, one that crossed a process) counts as coded
 * when its `code` is one of ours; what has no such code gets `fallback`.
 */
export function toErrorReport(error: unknown, fallback: ErrorCode = "INTERNAL"): ErrorReport {
  const code = codeOf(error) ?? fallback;
  const details = codeOf(error) === undefined ? undefined : safeDetails(property(error, "details"));
  return { code, message: safeMessage(messageOf(error)), ...(details === undefined ? {} : { details }) };
}

/** A job does not wait longer for its next attempt, whatever its handler wants: seven days. */
const maxDelaySeconds = 604_800;

/**
 * What a thrown value says about another attempt: a PermanentError, or any error with `permanent: true`, "never"; a
 * RetryableError its own delay when it has one, up to seven days; anything else "backoff", until the handler's `maxAttempts`.
 */
export function retryMeaning(error: unknown): "never" | "backoff" | { readonly delaySeconds: number } {
  if (error instanceof PermanentError || property(error, "permanent") === true) return "never";
  const delaySeconds = error instanceof RetryableError ? property(error, "delaySeconds") : undefined;
  if (typeof delaySeconds !== "number" || !Number.isFinite(delaySeconds) || delaySeconds < 0) return "backoff";
  return { delaySeconds: Math.min(delaySeconds, maxDelaySeconds) };
}

/** What a job itself is wrong in, whatever runs it. */
const permanentCodes: ReadonlySet<string> = new Set<ErrorCode>([
  "INVALID_JOB",
  "UNDECODABLE_JOB",
  "POLICY_REFUSED",
  "UNSUPPORTED_OPTION",
  "ASSET_PATH_REFUSED",
  "INPUT_REFUSED",
  "INPUT_EXPIRED",
  "INPUT_TOO_LARGE",
  "INPUT_INVALID",
]);

/** Whether a job that failed with this error would fail with it again. */
export function isPermanent({ code, permanent }: { readonly code: string; readonly permanent?: boolean | undefined }) {
  return permanent === true || isPermanentCode(code);
}

export function isPermanentCode(code: string): boolean {
  return permanentCodes.has(code);
}

export const errorCodes: readonly ErrorCode[] = Object.keys(errorStatus).filter(isErrorCode);

export function isErrorCode(code: unknown): code is ErrorCode {
  return typeof code === "string" && Object.hasOwn(errorStatus, code);
}

function codeOf(error: unknown): ErrorCode | undefined {
  const code = property(error, "code");
  return isErrorCode(code) && typeof property(error, "message") === "string" ? code : undefined;
}

function messageOf(error: unknown): string {
  const message = property(error, "message");
  if (typeof message === "string") return message;
  return typeof error === "object" && error !== null ? "An object that is not an error was thrown" : String(error);
}

/** Undefined also where reading throws: what was thrown may be anything. */
function property(value: unknown, name: string): unknown {
  try {
    return typeof value === "object" && value !== null ? Reflect.get(value, name) : undefined;
  } catch {
    return undefined;
  }
}

const maxMessage = 8000;
/** What is redacted beyond the part that is kept, so that no secret is cut in two and not recognised. */
const redactedBeyond = 4000;

/** Redacted, and cut when it is too long to be read: an error goes into databases, callbacks and on screens. */
function safeMessage(message: string): string {
  if (message.length <= maxMessage + redactedBeyond) return shortText(redact(message), maxMessage);
  const beginning = redact(message.slice(0, maxMessage + redactedBeyond));
  const kept = beginning.slice(0, Math.max(0, Math.min(maxMessage, beginning.length - redactedBeyond)));
  return `${kept.toWellFormed()}… (${message.length.toLocaleString("en-US")} characters)`;
}

/** Details as bounded JSON, redacted, whatever they are. */
function safeDetails(details: unknown): unknown {
  return details === undefined ? undefined : redactValue(safeJson(details));
}
