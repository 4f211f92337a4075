import { errors } from "@upstash/redis";
import { CodedError } from "#contract/errors.ts";

/*
 * What a failed request means. The client's own messages end with the whole command, payload and all, so nothing of
 * them is passed on but the server's own words.
 */
export type Failure =
  /** Another try may succeed; `error` is what to say when none did. */
  | { readonly kind: "transient"; readonly error: CodedError }
  /** It will fail again until somebody does something. */
  | { readonly kind: "permanent"; readonly error: CodedError }
  /** The server does not know the script (yet, or after a restart). */
  | { readonly kind: "no script" };

/** Names under which the operator set what is wrong. */
const variables = { url: "UPSTASH_REDIS_REST_URL", token: "UPSTASH_REDIS_REST_TOKEN" } as const;

const commandPart = /, command was: [\s\S]*$/;
const longestWords = 300;

/** Answers of a server that is starting, moving or busy: the same command succeeds later. */
const passing = /^(?:LOADING|TRYAGAIN|CLUSTERDOWN|MASTERDOWN|READONLY|BUSY|NOREPLICAS)\b/;
/** Redis's own refusals begin with a word in capitals; what something in between says does not. */
const refusal = /^(?:ERR|[A-Z]{4,})\b/;
const quota = /max .*limit exceeded/i;
/** With these figures it is the plan's quota and not a burst. */
const quotaFigures = /limit: ?\d+,? usage: ?\d+/i;

export function classify(error: unknown): Failure {
  if (error instanceof errors.UpstashError) return classifyAnswer(error.message.replace(commandPart, ""));
  if (error instanceof errors.UpstashJSONParseError) {
    return unreachable("something in front of it answered with a page that is not JSON");
  }
  if (error instanceof errors.UrlError) {
    return permanent("CONFIG_INVALID", `${variables.url} must be the https URL of the database's REST API.`);
  }
  return unreachable(reasonOf(error));
}

function classifyAnswer(words: string): Failure {
  const said = words.slice(0, longestWords);
  if (said.startsWith("NOSCRIPT")) return { kind: "no script" };
  if (/^(?:WRONGPASS|NOAUTH|Unauthorized)\b/i.test(said)) {
    return permanent("CONFIG_INVALID", `The queue's server refuses the token: check ${variables.token}.`);
  }
  if (said.startsWith("NOPERM")) {
    return permanent(
      "CONFIG_INVALID",
      `The token may only read: set ${variables.token} to the database's standard token. The server said: ${said}`,
    );
  }
  if (quota.test(said)) {
    const message = `The queue's database is over its quota, no job can be taken or settled: raise its plan. The server said: ${said}`;
    const error = new CodedError("QUEUE_OVER_QUOTA", message);
    return { kind: quotaFigures.test(said) ? "permanent" : "transient", error };
  }
  if (/\bOOM\b|max(?:imum)? (?:data|database|db) size|capacity quota/i.test(said)) {
    return permanent(
      "QUEUE_FULL",
      `The queue's database is full and takes no writes: raise its size or delete what is not needed. The server said: ${said}`,
    );
  }
  if (passing.test(said) || !refusal.test(said)) return unreachable(`it said: ${said}`);
  return permanent("INTERNAL", `The queue's server refused a command: ${said}`);
}

function permanent(code: "CONFIG_INVALID" | "QUEUE_FULL" | "INTERNAL", message: string): Failure {
  return { kind: "permanent", error: new CodedError(code, message) };
}

function unreachable(why: string): Failure {
  const message = `The queue's server (${variables.url}) cannot be reached: ${why}.`;
  return { kind: "transient", error: new CodedError("QUEUE_UNREACHABLE", message) };
}

/** `fetch failed` says nothing; its cause has a code such as ECONNREFUSED. */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return "an unknown reason";
  if (error.name === "TimeoutError") return "it did not answer in time";
  const { cause } = error;
  if (cause instanceof Error && "code" in cause) return `${error.message} (${String(cause.code)})`;
  return error.message.slice(0, longestWords);
}
