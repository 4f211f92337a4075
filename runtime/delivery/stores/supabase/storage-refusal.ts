import { z } from "zod";
import { type CodedError, PermanentError, RetryableError } from "#contract/errors.ts";
import { type BoundedResponse, retryAfterSeconds } from "#runtime/lib/bounded-request.ts";

/*
 * What a refusal of the storage service means for a delivery. Its JSON routes answer nearly every refusal with HTTP 400 and
 * put the real status into the body; its resumable routes answer with the real status and a bare sentence.
 *
 *   the file can never be stored as it is (too large, a type that the bucket does not take)     PermanentError
 *   the deployment is wrong (key, address): every file waits until somebody mends it            RetryableError, slowly
 *   there is no such bucket: the files of this one wait                                         RetryableError
 *   it is away or busy                                                                          RetryableError
 */
export interface RefusalContext {
  readonly bucket: string;
  readonly path: string;
  readonly mimeType?: string;
  readonly sizeBytes?: number;
}

/** How long to wait for a person to mend the deployment. */
export const slowRetrySeconds = 300;

const refusalBody = z.object({
  statusCode: z.coerce.number().int().optional(),
  code: z.string().optional(),
  error: z.string().optional(),
  message: z.string().optional(),
});

export interface Refusal {
  readonly status: number;
  readonly code: string;
  readonly message: string;
}

export function readRefusal({ status, text }: BoundedResponse): Refusal {
  const body = refusalBody.safeParse(parsedOrNull(text)).data;
  if (body === undefined) return { status, code: "", message: text.trim().slice(0, 300) };
  return {
    // A failure of the service itself is one whatever its body says.
    status: status >= 500 ? status : (body.statusCode ?? status),
    code: body.code ?? body.error ?? "",
    message: (body.message ?? "").slice(0, 300),
  };
}

function parsedOrNull(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

export function isAlreadyThere({ status, message }: Refusal): boolean {
  return status === 409 && /already exists|duplicate/i.test(message);
}

export function storageError(answer: BoundedResponse, context: RefusalContext, nowMs: number): CodedError {
  const refusal = readRefusal(answer);
  const { status, message } = refusal;
  if (status === 413 || status === 415 || isInvalidName(refusal)) return assetRefused(refusal, context);
  if (isKeyRefused(refusal))
    return deploymentError(
      `The storage refuses the service key (${message}): set SUPABASE_SERVICE_KEY to the project's`,
      status,
    );
  // The others have buckets of their own, and must not wait for this one's.
  if (isNoBucket(refusal)) {
    return new RetryableError(
      `There is no bucket "${context.bucket}" in the storage (${message}): run the migrations, or make it.`,
      { code: "STORAGE_REFUSED", details: { status } },
    );
  }
  if (status >= 500 || [408, 409, 423, 425, 429].includes(status)) {
    const delaySeconds = retryAfterSeconds(answer.headers, nowMs);
    return new RetryableError(`The storage answered ${status} (${message}).`, {
      code: "STORAGE_UNREACHABLE",
      details: { status },
      ...(delaySeconds === undefined ? {} : { delaySeconds }),
    });
  }
  return deploymentError(`The storage answered ${status} (${message}): check SUPABASE_URL`, status);
}

/** No answer came: the network, a time-out, a server that went away. */
export function storageUnreachable(cause: unknown): RetryableError {
  const why = cause instanceof Error ? cause.message : String(cause);
  return new RetryableError(`The storage cannot be reached: ${why}.`, { code: "STORAGE_UNREACHABLE", cause });
}

function isInvalidName({ status, code, message }: Refusal): boolean {
  return status === 400 && (code === "InvalidKey" || /^invalid key/i.test(message));
}

function isNoBucket({ status, code, message }: Refusal): boolean {
  return status === 404 && /bucket/i.test(`${code} ${message}`);
}

function isKeyRefused({ status, code, message }: Refusal): boolean {
  return status === 401 || status === 403 || code === "InvalidJWT" || /\bjw[ts]\b|authorization/i.test(message);
}

function assetRefused({ status, message }: Refusal, context: RefusalContext): PermanentError {
  const file = `${context.path} (${context.mimeType ?? "unknown type"}, ${context.sizeBytes ?? "?"} bytes)`;
  const what =
    status === 413
      ? "is larger than the bucket or the project allows: raise the limit"
      : status === 415
        ? "has a type that is not on the bucket's list: add it"
        : "has a name that the storage does not take";
  return new PermanentError(`The storage refuses ${file}: it ${what}. Bucket "${context.bucket}" said: ${message}`, {
    code: "ASSET_REFUSED",
  });
}

function deploymentError(message: string, status: number): RetryableError {
  const details = { status };
  return new RetryableError(`${message}.`, { code: "STORAGE_REFUSED", delaySeconds: slowRetrySeconds, details });
}
