import { CodedError } from "./errors.ts";
import { type QueueRefusal, refusalOf, unanswered, unreachable } from "./queue-errors.ts";

/** Redis over its REST API, for whoever is not a container: `fetch` and nothing else. */
export interface QueueTarget {
  /** Of the database's REST API. */
  readonly url: string | undefined;
  readonly token: string | undefined;
  /** Begins the keys of this deployment. */
  readonly prefix?: string;
  /** How long one try may take. */
  readonly timeoutMs?: number;
  readonly tries?: number;
  readonly fetch?: typeof fetch;
}

export type RedisCommand = readonly (string | number)[];

const firstPauseMs = 150;

/**
 * Sends commands in one request, again as long as that may help; what is sent must bear being applied twice.
 *
 * @param path `multi-exec`: all or nothing; `pipeline`: one after the other
 * @returns what each command answered
 * @throws CodedError CONFIG_INVALID when URL or token are missing or refused; QUEUE_UNREACHABLE, QUEUE_OVER_QUOTA or
 *   QUEUE_FULL when the server takes nothing
 */
export async function sendCommands(
  target: QueueTarget,
  path: "multi-exec" | "pipeline",
  commands: readonly RedisCommand[],
): Promise<unknown[]> {
  const { url, token, tries = 3 } = target;
  if (!url || !token) {
    const missing = url ? "UPSTASH_REDIS_REST_TOKEN" : "UPSTASH_REDIS_REST_URL";
    throw new CodedError("CONFIG_INVALID", `${missing} is not set: the queue cannot be reached without it.`);
  }
  for (let tried = 1; ; tried += 1) {
    const answer = await post(target, `${url.replace(/\/+$/, "")}/${path}`, token, commands);
    if (Array.isArray(answer)) return answer;
    if (!answer.passing || tried >= tries) throw answer.error;
    await new Promise((resolve) => setTimeout(resolve, firstPauseMs * 2 ** (tried - 1) * (0.5 + Math.random() / 2)));
  }
}

async function post(
  { timeoutMs = 10_000, fetch: send = fetch }: QueueTarget,
  url: string,
  token: string,
  commands: readonly RedisCommand[],
): Promise<unknown[] | QueueRefusal> {
  let text: string;
  try {
    const response = await send(url, {
      method: "POST",
      headers: { Authorization: `Bearer ${token}`, "Content-Type": "application/json" },
      body: JSON.stringify(commands),
      signal: AbortSignal.timeout(timeoutMs),
    });
    text = await response.text();
  } catch (error) {
    return unanswered(error);
  }
  return readAnswer(text);
}

/** `[{"result": …}, …]`, `{"error": …}`, an error in the place of a result, or somebody's page. */
function readAnswer(text: string): unknown[] | QueueRefusal {
  const answer = parseJson(text);
  if (!Array.isArray(answer)) {
    const words = errorIn(answer);
    return words === undefined ? unreachable("something in front of it answered with a page") : refusalOf(words);
  }
  const words = answer.map(errorIn).find((each) => each !== undefined);
  if (words !== undefined) return refusalOf(words);
  return answer.map((each: unknown) => (isObject(each) ? each.result : undefined));
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function errorIn(answer: unknown): string | undefined {
  return isObject(answer) && typeof answer.error === "string" ? answer.error : undefined;
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null;
}
