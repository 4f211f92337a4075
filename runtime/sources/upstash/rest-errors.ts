import { type QueueRefusal, refusalOf, unanswered, unreachable } from "#contract/queue-errors.ts";
import { NotJsonError, RefusedError } from "./rest-transport.ts";

/** What a failed request means; "no script": the server does not know the script (yet, or after a restart). */
export function classify(error: unknown): QueueRefusal | "no script" {
  if (error instanceof RefusedError) {
    return error.message.startsWith("NOSCRIPT") ? "no script" : refusalOf(error.message);
  }
  if (error instanceof NotJsonError) {
    return unreachable("something in front of it answered with a page that is not the REST API's");
  }
  return unanswered(error);
}
