/// <reference path="../../lib/undici.d.ts" />
import type { Dispatcher } from "undici";
import Pool from "undici/lib/dispatcher/pool.js";

/*
 * Commands to the REST API, over a pool of connections. The official client does the same on `fetch`, which makes web
 * streams of every answer and costs three times the processor time: most of what a small job costs. It would also have
 * to be kept from repeating, reordering and parsing what it sends.
 */
export interface TransportOptions {
  readonly url: string;
  readonly token: string;
  /** How long one request may take, its answer included. */
  readonly timeoutMs: number;
}

/** The server has refused the command, with these words. */
export class RefusedError extends Error {
  override readonly name = "RefusedError";
}

/** What answered is not the REST API. */
export class NotJsonError extends Error {
  override readonly name = "NotJsonError";
}

/** The other end closed a connection that had been at rest, perhaps in the very moment in which it was used again. */
export class StaleConnectionError extends Error {
  override readonly name = "StaleConnectionError";
}

interface Waiting {
  readonly text: string;
  readonly resolve: (result: unknown) => void;
  readonly reject: (error: unknown) => void;
}

interface RestResponse {
  readonly status: number;
  readonly syncToken: string | undefined;
  readonly text: string;
}

/** A longer command has a request of its own, and so have those after this many: servers take 10 MB at once. */
const maxSharedCharacters = 64_000;
const maxTogether = 32;

/** A take answers whole jobs, which have at most 8 million characters each. */
const maxAnswerBytes = 256 * 1024 * 1024;

/** How long a connection at rest is kept, unless the server says less. */
const keepAliveMs = 60_000;

/**
 * Connections stay open between requests. The sync token of the last answer goes with the next request, so that a
 * replica that lags behind is not asked about newer writes.
 */
export class RestTransport {
  readonly #pool: Pool;
  readonly #prefix: string;
  readonly #token: string;
  readonly #timeoutMs: number;
  #syncToken = "";
  #waiting: Waiting[] = [];
  #flushTimer: NodeJS.Timeout | undefined;

  constructor({ url, token, timeoutMs }: TransportOptions) {
    const { origin, pathname } = new URL(url);
    this.#pool = new Pool(origin, {
      // Every request has one limit of its own, see #exchange.
      headersTimeout: 0,
      bodyTimeout: 0,
      connect: { timeout: timeoutMs },
      keepAliveTimeout: keepAliveMs,
      maxResponseSize: maxAnswerBytes,
      allowH2: false,
    });
    this.#prefix = pathname.replace(/\/+$/, "");
    this.#token = token;
    this.#timeoutMs = timeoutMs;
  }

  /**
   * Resolves with the command's result; rejects with one of the errors above, or with why there is no answer.
   * @param maxWaitMs how long the command may wait for another one to share a request with, which saves half its cost
   */
  send(command: readonly string[], maxWaitMs = 0): Promise<unknown> {
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    const waiting = { text: JSON.stringify(command), resolve, reject };
    if (waiting.text.length > maxSharedCharacters) {
      void this.#sendTogether([waiting]);
    } else {
      this.#waiting.push(waiting);
      if (maxWaitMs <= 0 || this.#waiting.length === maxTogether) this.#flush();
      else this.#flushTimer ??= setTimeout(() => this.#flush(), maxWaitMs);
    }
    return promise;
  }

  #flush(): void {
    clearTimeout(this.#flushTimer);
    this.#flushTimer = undefined;
    const commands = this.#waiting;
    this.#waiting = [];
    void this.#sendTogether(commands);
  }

  async #sendTogether(commands: readonly Waiting[]): Promise<void> {
    try {
      const texts = commands.map(({ text }) => text);
      const answers =
        texts.length === 1
          ? [readBody(await this.#exchange("/", texts.join()))]
          : readBodies(await this.#exchange("/pipeline", `[${texts.join()}]`), commands.length);
      for (const [place, { resolve, reject }] of commands.entries()) settle(answers[place], resolve, reject);
    } catch (error) {
      for (const { reject } of commands) reject(error);
    }
  }

  async #exchange(path: string, body: string): Promise<RestResponse> {
    const reader = new AnswerReader();
    const limit = setTimeout(() => reader.abort(new RequestTimeout()), this.#timeoutMs);
    const headers = {
      authorization: `Bearer ${this.#token}`,
      "content-type": "application/json",
      "upstash-sync-token": this.#syncToken,
    };
    this.#pool.dispatch({ method: "POST", path: `${this.#prefix}${path}`, headers, body }, reader);
    try {
      const answer = await reader.answer;
      this.#syncToken = answer.syncToken ?? this.#syncToken;
      return answer;
    } finally {
      clearTimeout(limit);
    }
  }
}

class RequestTimeout extends Error {
  override readonly name = "TimeoutError";
  override readonly message = "the request took too long";
}

/** Collects one answer without a stream in between, which would cost as much as the request itself. */
class AnswerReader implements Dispatcher.DispatchHandler {
  readonly #outcome = Promise.withResolvers<RestResponse>();
  readonly #chunks: Buffer[] = [];
  #controller: Dispatcher.DispatchController | undefined;
  #reason: Error | undefined;
  #status = 0;
  #syncToken: string | undefined;

  get answer(): Promise<RestResponse> {
    return this.#outcome.promise;
  }

  abort(reason: Error): void {
    this.#reason = reason;
    this.#outcome.reject(reason);
    this.#controller?.abort(reason);
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
    if (this.#reason !== undefined) controller.abort(this.#reason);
  }

  onResponseStart(
    _controller: Dispatcher.DispatchController,
    status: number,
    headers: Readonly<Record<string, string | string[] | undefined>>,
  ): void {
    const { "upstash-sync-token": token } = headers;
    this.#status = status;
    this.#syncToken = typeof token === "string" ? token : undefined;
  }

  onResponseData(_controller: Dispatcher.DispatchController, chunk: Buffer): void {
    this.#chunks.push(chunk);
  }

  onResponseEnd(): void {
    const text = Buffer.concat(this.#chunks).toString("utf8");
    this.#outcome.resolve({ status: this.#status, syncToken: this.#syncToken, text });
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    const hasAnswer = this.#status > 0;
    this.#outcome.reject(
      !hasAnswer && isClosedConnection(error)
        ? new StaleConnectionError(error.message, { cause: error })
        : worded(error),
    );
  }
}

/** The body is `{"result": …}` or `{"error": "…"}`. */
function readBody({ status, text }: RestResponse): unknown {
  const body = parseJson(text);
  if (status >= 200 && status < 300) return body;
  throw hasError(body) ? new RefusedError(String(body.error)) : new NotJsonError(`status ${status}`);
}

/** One body for each command, unless the request as a whole was refused. */
function readBodies(answer: RestResponse, count: number): readonly unknown[] {
  const bodies = readBody(answer);
  if (Array.isArray(bodies) && bodies.length === count) return bodies;
  throw hasError(bodies) ? new RefusedError(String(bodies.error)) : new NotJsonError("the answer is no list");
}

function settle(body: unknown, resolve: Waiting["resolve"], reject: Waiting["reject"]): void {
  if (hasError(body)) reject(new RefusedError(String(body.error)));
  else if (typeof body === "object" && body !== null && "result" in body) resolve(body.result);
  else reject(new NotJsonError("the answer has no result"));
}

function hasError(body: unknown): body is { readonly error: unknown } {
  return typeof body === "object" && body !== null && "error" in body;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new NotJsonError("the answer is not JSON", { cause });
  }
}

function isClosedConnection(error: Error): boolean {
  return "code" in error && ["UND_ERR_SOCKET", "ECONNRESET", "EPIPE"].includes(String(error.code));
}

/** Connecting to several addresses of one host fails with an error that has a code but no words. */
function worded(error: Error): Error {
  if (error.message !== "") return error;
  return new Error("code" in error ? String(error.code) : "the connection failed", { cause: error });
}
