import { CodedError, type ErrorCode } from "./errors.ts";

/**
 * What a queue's server means when it refuses a request. `passing`: the same request may succeed later; `error` is what
 * to tell when it did not.
 */
export interface QueueRefusal {
  readonly passing: boolean;
  readonly error: CodedError;
}

/** Names under which an operator sets where the queue is. */
export const queueVariables = { url: "UPSTASH_REDIS_REST_URL", token: "UPSTASH_REDIS_REST_TOKEN" } as const;

const maxReplyCharacters = 300;

/** What is wrong with a command stays wrong. Everything else may pass: a server that starts, moves, or is busy. */
const commandWords =
  /^WRONGTYPE\b|^ERR (?:unknown command|unknown subcommand|wrong number|syntax error|invalid |value is not|Command is not|Command "|Error (?:running|compiling) script)|user_script:/i;
const quotaWords = /max .*limit exceeded/i;
/** With these figures it is the plan's quota, and not a burst. */
const quotaFigures = /limit: ?\d+,? usage: ?\d+/i;
const fullWords = /\bOOM\b|max(?:imum)? (?:data|database|db) size|capacity quota/i;

/** @param words what the server said, without the command that it said it of */
export function refusalOf(words: string): QueueRefusal {
  const reply = words.slice(0, maxReplyCharacters);
  if (/^(?:WRONGPASS|NOAUTH|Unauthorized)\b/i.test(reply)) {
    return lasting("CONFIG_INVALID", `The queue's server refuses the token: check ${queueVariables.token}.`);
  }
  if (reply.startsWith("NOPERM")) {
    const message = `The token may only read: set ${queueVariables.token} to the database's standard token.`;
    return lasting("CONFIG_INVALID", `${message} The server said: ${reply}`);
  }
  if (quotaWords.test(reply)) {
    const message = "The queue's database is over its quota, no job can be enqueued, taken or settled: raise its plan.";
    return {
      passing: !quotaFigures.test(reply),
      error: new CodedError("QUEUE_OVER_QUOTA", `${message} The server said: ${reply}`),
    };
  }
  if (fullWords.test(reply)) {
    const message = "The queue's database is full and takes no writes: raise its size or delete what is not needed.";
    return lasting("QUEUE_FULL", `${message} The server said: ${reply}`);
  }
  if (commandWords.test(reply)) return lasting("INTERNAL", `The queue's server refused a command: ${reply}`);
  return unreachable(`it said: ${reply}`);
}

/** What is said of a request that no server has answered, or that something in front of it did. */
export function unreachable(why: string): QueueRefusal {
  const message = `The queue's server (${queueVariables.url}) cannot be reached: ${why}.`;
  return { passing: true, error: new CodedError("QUEUE_UNREACHABLE", message) };
}

/** Why a request failed that threw: `fetch failed` says nothing, its cause has a code such as ECONNREFUSED. */
export function unanswered(error: unknown): QueueRefusal {
  if (!(error instanceof Error)) return unreachable("an unknown reason");
  if (error.name === "TimeoutError") return unreachable("it did not answer in time");
  const { cause } = error;
  if (cause instanceof Error && "code" in cause) return unreachable(`${error.message} (${String(cause.code)})`);
  return unreachable(error.message.slice(0, maxReplyCharacters));
}

function lasting(code: ErrorCode, message: string): QueueRefusal {
  return { passing: false, error: new CodedError(code, message) };
}
