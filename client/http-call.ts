import type { z } from "zod";
import { CodedError, isErrorCode } from "#contract/errors.ts";
import { requireJson } from "#contract/plain-json.ts";
import type { RouteDeclaration } from "#functions/api/declare.ts";

export interface ConnectionOptions {
  /** Where the container is reached: `https://worker.example`, or the path of an app's own proxy to it. */
  readonly url: string;
  /** One of its keys; none for a container on this machine that has none. */
  readonly key?: string | undefined;
  readonly fetch?: typeof globalThis.fetch;
  /** How long an answer is waited for; 30 s by default. */
  readonly timeoutMs?: number;
}

/** What a route answers, whatever its status. */
export type AnswerOf<Declaration extends RouteDeclaration> = z.output<
  Declaration["responses"][keyof Declaration["responses"]]
>;

export interface CallOptions {
  readonly params?: Readonly<Record<string, string>>;
  readonly query?: Readonly<Record<string, string | number | undefined>>;
  readonly body?: unknown;
  /** Sent as it is, in place of a body. */
  readonly file?: Blob;
  readonly headers?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal | undefined;
  readonly timeoutMs?: number | undefined;
}

const defaultTimeoutMs = 30_000;
/** Of a file: containers look at what is in it. */
const fileType = "application/octet-stream";

/**
 * One container, over HTTP. Methods, paths and answers are those of the routes' declarations, for the type checker alone:
 * the schemas would be most of the client's weight, and a container's tests hold every answer to them.
 */
export class Connection {
  readonly #options: ConnectionOptions;
  readonly #base: URL;

  /** @throws CodedError INVALID_REQUEST for an address that is none */
  constructor(options: ConnectionOptions) {
    this.#options = options;
    this.#base = baseOf(options.url);
  }

  /**
   * @throws CodedError with the code that the container answers; INVALID_REQUEST for what is not JSON; WORKER_UNREACHABLE when it does not answer, or what
   *   answers is no such container; TIMED_OUT
   */
  async call<Declaration extends RouteDeclaration>(
    method: Declaration["method"],
    path: Declaration["path"],
    options: CallOptions = {},
  ): Promise<AnswerOf<Declaration>> {
    const limit = AbortSignal.timeout(options.timeoutMs ?? this.#options.timeoutMs ?? defaultTimeoutMs);
    const signal = options.signal === undefined ? limit : AbortSignal.any([options.signal, limit]);
    const response = await this.open(method, path, { ...options, signal });
    return this.#json(response);
  }

  /** The answer as it comes, not yet read; an error is thrown as `call` throws it. */
  async open<Declaration extends RouteDeclaration>(
    method: Declaration["method"],
    path: Declaration["path"],
    options: CallOptions,
  ): Promise<Response> {
    const { signal, file } = options;
    const body = file ?? (Object.hasOwn(options, "body") ? bodyOf(options.body) : undefined);
    const response = await this.#fetch(this.#address(path, options), {
      method,
      headers: {
        ...(this.#options.key === undefined ? {} : { Authorization: `Bearer ${this.#options.key}` }),
        ...(body === undefined ? {} : { "Content-Type": file === undefined ? "application/json" : fileType }),
        ...options.headers,
      },
      // The key is for this address and for no other one.
      redirect: "error",
      ...(signal === undefined ? {} : { signal }),
      ...(body === undefined ? {} : { body }),
    });
    if (response.ok) return response;
    const { code, error, details } = await this.#json(response);
    if (typeof error !== "string" || !isErrorCode(code))
      throw this.#notAContainer(`it answered with the status ${response.status}`);
    throw new CodedError(code, error, { details });
  }

  /** An address as a container answers it, which may be a path of its own. */
  resolve(address: string): string {
    // Below the base, which may have a path: that of a proxy.
    return new URL(address.replace(/^\/(?!\/)/, ""), this.#base).href;
  }

  async #fetch(url: URL, init: RequestInit): Promise<Response> {
    try {
      return await (this.#options.fetch ?? globalThis.fetch)(url, init);
    } catch (cause) {
      throw this.#unreachable(cause, init.signal);
    }
  }

  /** The JSON of an answer, which every route answers with an object. */
  async #json(response: Response) {
    const text = await response.text().catch((cause: unknown) => {
      throw this.#unreachable(cause, null);
    });
    const value = parseJson(text);
    if (typeof value === "object" && value !== null) return value;
    throw this.#notAContainer(`its answer (status ${response.status}) is no JSON object`);
  }

  #address(path: string, { params = {}, query = {} }: CallOptions): URL {
    const filled = path.replaceAll(/:(\w+)/g, (_match, name: string) => pathPart(name, params[name] ?? ""));
    const url = new URL(filled.slice(1), this.#base);
    for (const [name, value] of Object.entries(query))
      if (value !== undefined) url.searchParams.set(name, String(value));
    return url;
  }

  #unreachable(cause: unknown, signal: AbortSignal | null | undefined): unknown {
    if (signal?.aborted && !isTimeout(signal.reason)) return signal.reason;
    if (isTimeout(cause)) return new CodedError("TIMED_OUT", `${this.#base.origin} did not answer in time.`, { cause });
    const reason = cause instanceof Error && cause.cause instanceof Error ? cause.cause.message : String(cause);
    return new CodedError("WORKER_UNREACHABLE", `${this.#base.origin} cannot be reached: ${reason}.`, { cause });
  }

  #notAContainer(what: string): CodedError {
    return new CodedError("WORKER_UNREACHABLE", `${this.#base.origin} is no container of this version: ${what}.`);
  }
}

/** In a page, also a path of the page's own site. */
function baseOf(address: string): URL {
  const page: unknown = Reflect.get(globalThis, "location");
  try {
    const base = new URL(address.endsWith("/") ? address : `${address}/`, page === undefined ? page : String(page));
    if (/^https?:$/.test(base.protocol) && address !== "") return base;
  } catch {
    // Refused below.
  }
  throw new CodedError("INVALID_REQUEST", `"${address}" is not an http or https address of a container.`);
}

/** What JSON would leave out or make null of is refused: the job would be another one. */
function bodyOf(value: unknown): string {
  try {
    return JSON.stringify(requireJson(value, "body"));
  } catch (cause) {
    throw new CodedError(
      "INVALID_REQUEST",
      `The request cannot be sent. ${cause instanceof Error ? cause.message : ""}`,
      {
        cause,
      },
    );
  }
}

function parseJson(text: string) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Dots would be resolved before the request is sent, and it would go elsewhere. */
function pathPart(name: string, value: string): string {
  if (value === "" || value === "." || value === "..")
    throw new CodedError("INVALID_REQUEST", `"${value}" cannot be the ${name} of anything.`);
  return encodeURIComponent(value);
}

function isTimeout(reason: unknown): boolean {
  return reason instanceof DOMException && reason.name === "TimeoutError";
}
