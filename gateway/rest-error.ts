/**
 * An answer that is not a result: `{"error": message}` with an HTTP status. It is no CodedError, because texts and
 * statuses are Upstash's wire form, on which its clients match, and because it never becomes the error of a job.
 */
export class RestError extends Error {
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.name = "RestError";
    this.status = status;
  }
}
