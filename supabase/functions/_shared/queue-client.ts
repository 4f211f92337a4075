import { type QueueRefusal, refusalOf, unanswered, unreachable } from "./queue-errors.ts";

/**
 * What a producer needs of a client of Redis: a `Redis` of `@upstash/redis` has it, with whatever settings. Its retries
 * and its limits of time are its own.
 */
export interface QueueClient {
  eval(script: string, keys: string[], args: string[]): Promise<unknown>;
  /** Begins a transaction; its calls add to it, and `exec` sends it. */
  multi(): QueueTransaction;
}

export interface QueueTransaction {
  lpush(key: string, element: string): unknown;
  publish(channel: string, message: string): unknown;
  exec(): Promise<unknown>;
}

export interface QueueOptions {
  /** Begins the keys of this deployment. */
  readonly prefix?: string;
  /** How often a request is sent as long as that may help. What is sent here may be applied twice. */
  readonly tries?: number;
}

const firstPauseMs = 150;

/**
 * @throws CodedError CONFIG_INVALID when the token is missing or refused; QUEUE_UNREACHABLE, QUEUE_OVER_QUOTA or
 *   QUEUE_FULL when the server takes nothing
 */
export async function requestQueue<Answer>(
  request: () => Promise<Answer>,
  { tries = 3 }: QueueOptions,
): Promise<Answer> {
  for (let tried = 1; ; tried += 1) {
    try {
      return await request();
    } catch (error) {
      const refusal = refusalIn(error);
      if (!refusal.passing || tried >= tries) throw refusal.error;
    }
    await new Promise((resolve) => setTimeout(resolve, firstPauseMs * 2 ** (tried - 1) * (0.5 + Math.random() / 2)));
  }
}

/** What the client says around the server's words: which command of several it was, and the whole command. */
const around = /^Command (?:\d+ \[[^\]]*\] )?failed: |, command was: .*$/gs;

/* The client's errors are told from others by their names, so that any version of it will do. */

/** The server has refused the command. */
export function isServerRefusal(error: unknown): error is Error {
  return error instanceof Error && error.name === "UpstashError";
}

/** Why, without the command that the client repeats. */
export function serverWords({ message }: Error): string {
  return message.replace(around, "");
}

/** What answered is not the REST API. */
export function isUnreadable(error: unknown): boolean {
  return error instanceof Error && (error.name === "UpstashJSONParseError" || error instanceof SyntaxError);
}

function refusalIn(error: unknown): QueueRefusal {
  if (isServerRefusal(error)) return refusalOf(serverWords(error));
  return isUnreadable(error) ? unreachable("something in front of it answered with a page") : unanswered(error);
}
