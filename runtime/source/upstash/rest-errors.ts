import { errors } from "@upstash/redis";
import { CodedError } from "#contract/errors.ts";
import { type QueueRefusal, queueVariables, refusalOf, unanswered, unreachable } from "#contract/queue-errors.ts";

/** The client ends its messages with the whole command, payload and all, which nobody else is to see. */
const commandPart = /, command was: [\s\S]*$/;

/** What a failed request means; "no script": the server does not know the script (yet, or after a restart). */
export function classify(error: unknown): QueueRefusal | "no script" {
  if (error instanceof errors.UpstashError) {
    const words = error.message.replace(commandPart, "");
    return words.startsWith("NOSCRIPT") ? "no script" : refusalOf(words);
  }
  if (error instanceof errors.UpstashJSONParseError) {
    return unreachable("something in front of it answered with a page that is not JSON");
  }
  if (error instanceof errors.UrlError) {
    const message = `${queueVariables.url} must be the https URL of the database's REST API.`;
    return { passing: false, error: new CodedError("CONFIG_INVALID", message) };
  }
  return unanswered(error);
}
