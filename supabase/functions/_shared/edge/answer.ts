import { CodedError, type CodedErrorOptions, type ErrorCode } from "../errors.ts";

/** What a function answers: JSON, with the status of HTTP. */
export interface EdgeResponse {
  readonly status: number;
  readonly body: Readonly<Record<string, unknown>>;
  readonly headers?: Readonly<Record<string, string>>;
}

/** A coded error with headers that belong to its answer. */
export class HttpError extends CodedError {
  readonly headers: Readonly<Record<string, string>>;

  constructor(
    code: ErrorCode,
    message: string,
    options: CodedErrorOptions & { readonly headers?: Readonly<Record<string, string>> } = {},
  ) {
    super(code, message, options);
    this.headers = options.headers ?? {};
  }
}

/** Codes whose messages are for the operator: they stand in the log, and not in the answer. */
const internal = new Set<ErrorCode>(["INTERNAL", "CONFIG_INVALID"]);

/** Whether an error says what its caller should hear. */
export function isForeseen(error: unknown): error is CodedError {
  return error instanceof CodedError && !internal.has(error.code);
}

/** Too many, or not now: the same request may succeed soon. */
const isPassing = (status: number) => status === 429 || status === 503;
const retryAfter = { "Retry-After": "10" };

/** Every error in the one shape `{success: false, error, code, details}`. */
export function errorAnswer(error: unknown): EdgeResponse {
  if (!isForeseen(error)) {
    const code = error instanceof CodedError ? error.code : "INTERNAL";
    const sentence = "The function failed to answer this request; its log says why, under the request's id.";
    return { status: 500, body: { success: false, error: sentence, code } };
  }
  const { message, code, details, status } = error;
  return {
    status,
    body: { success: false, error: message, code, ...(details === undefined ? {} : { details }) },
    headers: { ...(isPassing(status) ? retryAfter : {}), ...(error instanceof HttpError ? error.headers : {}) },
  };
}
