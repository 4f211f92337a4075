import type { Agent, ClientRequest, IncomingHttpHeaders, IncomingMessage } from "node:http";
import type { Socket } from "node:net";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { http, https } from "./node-http.ts";

/*
 * One HTTP request in which everything has a limit: the time in which nothing moves, the time of the whole, the length of
 * the answer. Bodies are streamed. Redirects are answers like any other: what carries a key goes nowhere else.
 *
 * On node:http and not undici: whether a request may be repeated depends on whether its connection had been used before,
 * and undici does not say; nor does it limit how long a body that is being sent may stand still.
 */
export interface RequestParts {
  readonly method: string;
  readonly url: string;
  readonly headers: Readonly<Record<string, string | number>>;
  readonly body?: Readable | Uint8Array;
  readonly signal: AbortSignal;
  /** Limit of the time in which nothing is sent or received. */
  readonly idleMs: number;
  readonly limitMs: number;
  /** Opens a connection of its own, where an address must not be resolved again after it was checked. */
  connect?(): Socket;
  /** Limit of the answer's length; a megabyte by default. */
  readonly maxAnswerBytes?: number;
  /** An answer has begun to come. */
  onAnswer?(): void;
  /** Bytes of the body that were handed to the system so far. */
  onSent?(bytes: number): void;
}

export interface BoundedResponse {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
}

const defaultMaxAnswerBytes = 1024 * 1024;

// A connection serves a whole upload and the callback after it.
const agents = {
  "http:": new http.Agent({ keepAlive: true, maxFreeSockets: 8 }),
  "https:": new https.Agent({ keepAlive: true, maxFreeSockets: 8 }),
};

/** EPIPE of one that had been ended, and was reset since, while this process was not running. */
const staleCodes: ReadonlySet<unknown> = new Set(["ECONNRESET", "EPIPE"]);

/** The server had ended a connection that was kept for the next request. */
class StaleConnection extends Error {}

/** @throws whatever kept an answer from coming: the network's error, a time-out, the signal's reason */
export async function boundedRequest(parts: RequestParts): Promise<BoundedResponse> {
  // Not AbortSignal.timeout, whose timer nothing ends before its time: a day for a poll that is answered within seconds.
  const limit = new AbortController();
  const onLimit = () => limit.abort(new DOMException("The operation was aborted due to timeout", "TimeoutError"));
  const timer = setTimeout(onLimit, parts.limitMs).unref();
  const signal = AbortSignal.any([parts.signal, limit.signal]);
  try {
    return await exchange(parts, signal).catch((error: unknown) => {
      // A body that is a stream is used up.
      if (!(error instanceof StaleConnection) || parts.body instanceof Readable) throw error;
      return exchange(parts, signal, false);
    });
  } catch (error) {
    // Not the words of whichever layer noticed it first.
    if (signal.aborted) throw signal.reason;
    throw error;
  } finally {
    clearTimeout(timer);
    if (parts.body instanceof Readable) parts.body.destroy();
  }
}

async function exchange(parts: RequestParts, signal: AbortSignal, mayReuse = true): Promise<BoundedResponse> {
  signal.throwIfAborted();
  const url = new URL(parts.url);
  const { method, body } = parts;
  // Node leaves it out of a DELETE, and the server would take the body for the next request.
  const headers = body instanceof Uint8Array ? { ...parts.headers, "content-length": body.byteLength } : parts.headers;
  const protocol = url.protocol === "https:" ? "https:" : "http:";
  const options = { method, headers, signal, ...connectionOf(parts, mayReuse && agents[protocol]) };
  const request = protocol === "https:" ? https.request(url, options) : http.request(url, options);
  request.setTimeout(parts.idleMs, () =>
    request.destroy(new Error(`nothing was heard for ${parts.idleMs / 1000} seconds`)),
  );
  const { promise, resolve, reject } = Promise.withResolvers<BoundedResponse>();
  let hasAnswer = false;
  request.once("response", (response) => {
    hasAnswer = true;
    parts.onAnswer?.();
    void readAnswer(response, parts.maxAnswerBytes ?? defaultMaxAnswerBytes).then(resolve, reject);
  });
  // A refusal may come while the body is still on its way, and the connection end with it: the answer is what counts.
  const onFailure = (error: Error) => {
    if (hasAnswer) return;
    const isStale = request.reusedSocket && "code" in error && staleCodes.has(error.code);
    reject(isStale ? new StaleConnection(error.message, { cause: error }) : error);
  };
  request.on("error", onFailure);
  void send(request, parts).catch(onFailure);
  return promise;
}

function connectionOf({ connect }: RequestParts, agent: false | Agent) {
  // An agent, even one of its own, would resolve the name.
  return connect === undefined ? { agent } : { createConnection: () => connect() };
}

async function send(request: ClientRequest, { body, onSent }: RequestParts): Promise<void> {
  if (!(body instanceof Readable)) {
    request.end(body);
    return;
  }
  let bytes = 0;
  body.on("data", (part: Uint8Array) => {
    bytes += part.byteLength;
    onSent?.(bytes);
  });
  await pipeline(body, request);
}

async function readAnswer(response: IncomingMessage, maxAnswerBytes: number): Promise<BoundedResponse> {
  const parts: Buffer[] = [];
  let length = 0;
  for await (const part of response) {
    length += part.length;
    if (length > maxAnswerBytes) {
      response.destroy();
      throw new Error(`the answer has more than ${maxAnswerBytes} bytes`);
    }
    parts.push(part);
  }
  return {
    status: response.statusCode ?? 0,
    headers: response.headers,
    text: Buffer.concat(parts).toString("utf8"),
  };
}

/** What an answer asks for in `Retry-After`, seconds or a date; undefined when it does not, at most an hour. */
export function retryAfterSeconds(headers: IncomingHttpHeaders, nowMs: number): number | undefined {
  const value = headers["retry-after"];
  if (value === undefined) return undefined;
  const seconds = /^\d+$/.test(value) ? Number(value) : (Date.parse(value) - nowMs) / 1000;
  return Number.isFinite(seconds) ? Math.min(3600, Math.max(0, seconds)) : undefined;
}
