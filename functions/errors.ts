import { CodedError, type CodedErrorOptions, type ErrorCode, RetryableError } from "#contract/errors.ts";
import type { ErrorBody } from "./api/schemas/errors.ts";

/*
 * The one place where errors become answers. Every error of the API has one shape:
 *
 *   {"success": false, "error": "<sentence>", "code": "<CODE>", "details": …}
 *
 * Messages and details of coded errors were redacted when the errors were built. What was not foreseen (an error
 * without a code) is logged and answered without its message, which may hold anything.
 */
export interface HttpErrorOptions extends CodedErrorOptions {
  readonly headers?: Readonly<Record<string, string>>;
}

/** A coded error with what only HTTP knows: headers that belong to the answer. */
export class HttpError extends CodedError {
  readonly headers: Readonly<Record<string, string>>;

  constructor(code: ErrorCode, message: string, options: HttpErrorOptions = {}) {
    super(code, message, options);
    this.headers = options.headers ?? {};
  }
}

export function errorResponse(error: unknown): Response {
  const { status, body } = describeError(error);
  return Response.json(body, { status, headers: headersOf(error) });
}

/** What knows when it may succeed says so in seconds. */
export function headersOf(error: unknown): Readonly<Record<string, string>> {
  if (error instanceof HttpError) return error.headers;
  if (!(error instanceof RetryableError) || error.delaySeconds === undefined) return {};
  return { "Retry-After": String(Math.ceil(error.delaySeconds)) };
}

export function describeError(error: unknown): { readonly status: number; readonly body: ErrorBody } {
  if (!isForeseen(error)) {
    const sentence = "The container failed to answer this request; its log says why, under the request's id.";
    return { status: 500, body: { success: false, error: sentence, code: "INTERNAL" } };
  }
  const { message, code, details, status } = error;
  return { status, body: { success: false, error: message, code, ...(details === undefined ? {} : { details }) } };
}

export function isForeseen(error: unknown): error is CodedError {
  return error instanceof CodedError && error.code !== "INTERNAL";
}
