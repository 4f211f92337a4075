import { type IncomingMessage, Agent as PlainAgent, request as plainRequest, type RequestOptions } from "node:http";
import { Agent as SecureAgent, request as secureRequest } from "node:https";

/*
 * Commands to the REST API. The official client does the same on `fetch`, which makes web streams of every answer and
 * costs three times the processor time: most of what a small job costs. It would also have to be kept from
 * repeating, reordering and parsing what it sends.
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

interface Answer {
  readonly status: number;
  readonly syncToken: string | undefined;
  readonly text: string;
}

/** A longer command has a request of its own, and so have those after this many: servers take 10 MB at once. */
const longestSharedCharacters = 64_000;
const mostTogether = 32;

/** A take answers whole jobs, which have at most 8 million characters each. */
const longestAnswerBytes = 256 * 1024 * 1024;

/**
 * Connections stay open between requests. The sync token of the last answer goes with the next request, so that a
 * replica that lags behind is not asked about newer writes.
 */
export class RestTransport {
  readonly #request: typeof plainRequest;
  readonly #options: RequestOptions;
  readonly #prefix: string;
  readonly #token: string;
  readonly #timeoutMs: number;
  #syncToken = "";
  #patient: Waiting[] = [];
  #patience: NodeJS.Timeout | undefined;

  constructor({ url, token, timeoutMs }: TransportOptions) {
    const { protocol, hostname, port, pathname } = new URL(url);
    const isSecure = protocol === "https:";
    const agent = new (isSecure ? SecureAgent : PlainAgent)({ keepAlive: true });
    this.#request = isSecure ? secureRequest : plainRequest;
    this.#options = { agent, hostname: hostname.replace(/^\[|\]$/g, ""), port, method: "POST" };
    this.#prefix = pathname.replace(/\/+$/, "");
    this.#token = token;
    this.#timeoutMs = timeoutMs;
  }

  /**
   * Resolves with the command's result; rejects with one of the errors above, or with why there is no answer.
   * @param patienceMs how long the command may wait for another one to share a request with, which saves half its cost
   */
  send(command: readonly string[], patienceMs = 0): Promise<unknown> {
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    const waiting = { text: JSON.stringify(command), resolve, reject };
    if (waiting.text.length > longestSharedCharacters) {
      void this.#sendTogether([waiting]);
    } else {
      this.#patient.push(waiting);
      if (patienceMs <= 0 || this.#patient.length === mostTogether) this.#flush();
      else this.#patience ??= setTimeout(() => this.#flush(), patienceMs);
    }
    return promise;
  }

  #flush(): void {
    clearTimeout(this.#patience);
    this.#patience = undefined;
    const commands = this.#patient;
    this.#patient = [];
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

  async #exchange(path: string, body: string): Promise<Answer> {
    const { promise, resolve, reject } = Promise.withResolvers<Answer>();
    const headers = {
      authorization: `Bearer ${this.#token}`,
      "content-type": "application/json",
      "content-length": Buffer.byteLength(body),
      "upstash-sync-token": this.#syncToken,
    };
    const options = { ...this.#options, path: `${this.#prefix}${path}`, headers };
    const request = this.#request(options, (response) => readAnswer(response).then(resolve, reject));
    const limit = setTimeout(() => {
      reject(new RequestTimeout());
      request.destroy();
    }, this.#timeoutMs);
    request.on("error", (error) => {
      const isStale = request.reusedSocket && isClosedConnection(error);
      reject(isStale ? new StaleConnectionError(error.message, { cause: error }) : worded(error));
    });
    request.end(body);
    try {
      const answer = await promise;
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

async function readAnswer(response: IncomingMessage): Promise<Answer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  response.on("data", (chunk: Buffer) => {
    chunks.push(chunk);
    bytes += chunk.length;
    if (bytes > longestAnswerBytes) response.destroy(new Error("the answer is too long"));
  });
  response.on("error", (error) => reject(worded(error)));
  response.on("end", resolve);
  await promise;
  const { "upstash-sync-token": token } = response.headers;
  return {
    status: response.statusCode ?? 0,
    syncToken: typeof token === "string" ? token : undefined,
    text: Buffer.concat(chunks).toString("utf8"),
  };
}

/** The body is `{"result": …}` or `{"error": "…"}`. */
function readBody({ status, text }: Answer): unknown {
  const body = parseJson(text);
  if (status >= 200 && status < 300) return body;
  throw hasError(body) ? new RefusedError(String(body.error)) : new NotJsonError(`status ${status}`);
}

/** One body for each command, unless the request as a whole was refused. */
function readBodies(answer: Answer, count: number): readonly unknown[] {
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
  return "code" in error && (error.code === "ECONNRESET" || error.code === "EPIPE");
}

/** Connecting to several addresses of one host fails with an error that has a code but no words. */
function worded(error: Error): Error {
  if (error.message !== "") return error;
  return new Error("code" in error ? String(error.code) : "the connection failed", { cause: error });
}
