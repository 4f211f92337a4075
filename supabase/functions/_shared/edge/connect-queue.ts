import { Redis } from "@upstash/redis";
import { CodedError } from "../errors.ts";
import { queueVariables } from "../queue-errors.ts";

/** Where the queue is, as the environment says it. */
export interface QueueAddress {
  /** Of the database's REST API. */
  readonly url: string | undefined;
  readonly token: string | undefined;
  /** How long one request may take. */
  readonly timeoutMs?: number;
}

/**
 * The official client, set so that what is sent arrives as it is: one request for a call, in the order of the calls,
 * with texts left as they are. Repeating is `requestQueue`'s, which knows what may be repeated.
 *
 * @throws CodedError CONFIG_INVALID when one of them is missing
 */
export function connectQueue({ url, token, timeoutMs = 10_000 }: QueueAddress): Redis {
  if (!url || !token) {
    const missing = url ? queueVariables.token : queueVariables.url;
    throw new CodedError("CONFIG_INVALID", `${missing} is not set: the queue cannot be reached without it.`);
  }
  return new Redis({
    url,
    token,
    retry: { retries: 0 },
    enableAutoPipelining: false,
    automaticDeserialization: false,
    enableTelemetry: false,
    // A signal would become an answer of 200 that nobody gave; a function that returns one becomes an error.
    signal: () => AbortSignal.timeout(timeoutMs),
  });
}
