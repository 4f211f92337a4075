import { z } from "zod";
import { type CodedError, type ErrorCode, PermanentError, RetryableError } from "#contract/errors.ts";
import { type BoundedResponse, retryAfterSeconds } from "#runtime/lib/bounded-request.ts";

/*
 * What the answer means of whoever is notified of a job's end:
 *
 *   200–299                        taken; also when it was known already (`skipped`)
 *   no answer, 408, 425, 429, 5xx  tried again, after `Retry-After` when one is sent           RetryableError
 *   404 with JOB_NOT_FOUND         the app has forgotten the job                              PermanentError JOB_NOT_FOUND
 *   400, 413, 415, 422             will never be taken                                        PermanentError
 *   anything else: 401, 403, a     the deployment is wrong (key, secret, address): tried      RetryableError,
 *   404 of no job, a redirect      again slowly until somebody mends it                       after five minutes
 */
const slowRetrySeconds = 300;
const neverTaken = new Set([400, 413, 415, 422]);

/** Who is notified, for the sentences. */
export interface RefusalWords {
  /** Such as "callback endpoint". */
  readonly what: string;
  readonly endpoint: string;
  /** The code of an answer that may be another one soon. */
  readonly unreachable: ErrorCode;
  readonly refused: ErrorCode;
  /** What to do when the caller's credentials are refused. */
  readonly accessAdvice: string;
  /** What to do about any other refusal. */
  readonly advice: string;
}

const refusalBody = z.object({
  code: z.string().optional(),
  error: z.unknown().optional(),
  message: z.unknown().optional(),
  success: z.boolean().optional(),
});

/** The error that an answer other than 200–299 stands for. */
export function refusalOf(answer: BoundedResponse, words: RefusalWords, nowMs: number): CodedError {
  const { status } = answer;
  const { code, reason } = readBody(answer.text);
  const what = `The ${words.what} ${words.endpoint} answered ${status}${code === "" ? "" : ` ${code}`}${reason}`;
  if (status === 404 && code === "JOB_NOT_FOUND") return new PermanentError(`${what}.`, { code: "JOB_NOT_FOUND" });
  if (status >= 500 || status === 408 || status === 425 || status === 429) {
    const delaySeconds = retryAfterSeconds(answer.headers, nowMs);
    return new RetryableError(`${what}.`, {
      code: words.unreachable,
      details: { status },
      ...(delaySeconds === undefined ? {} : { delaySeconds }),
    });
  }
  if (neverTaken.has(status)) return new PermanentError(`${what}.`, { code: words.refused });
  const advice = status === 401 || status === 403 ? words.accessAdvice : words.advice;
  return new RetryableError(`${what}: ${advice}.`, {
    code: words.refused,
    delaySeconds: slowRetrySeconds,
    details: { status },
  });
}

function readBody(text: string): { readonly code: string; readonly reason: string } {
  const body = refusalBody.safeParse(jsonOrNull(text)).data;
  const reason = body === undefined ? text.trim() : (body.error ?? body.message ?? "");
  const sentence = typeof reason === "string" ? reason.slice(0, 300) : "";
  return { code: body?.code ?? "", reason: sentence === "" ? "" : ` (${sentence})` };
}

function jsonOrNull(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
