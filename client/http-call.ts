import { z } from "zod";
import { CodedError } from "#contract/errors.ts";
import { errorBody } from "#functions/errors.ts";
import type { Method } from "#functions/http/route.ts";

export interface ConnectionOptions {
  /** Where the container is reached: `https://worker.example`. */
  readonly url: string;
  /** One of its keys; none for a container on this machine that has none. */
  readonly key?: string | undefined;
  readonly fetch?: typeof globalThis.fetch;
  /** Longest wait for an answer. */
  readonly timeoutMs?: number;
}

/** The part of a route that calling it needs. `Answer`: any of the schemas of its answers. */
export interface Callable<Answer extends z.ZodType> {
  readonly method: Method;
  readonly path: string;
  readonly responses: Readonly<Record<number, Answer>>;
}

export interface CallOptions {
  readonly params?: Readonly<Record<string, string>>;
  readonly query?: Readonly<Record<string, string | number | undefined>>;
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal | undefined;
  readonly timeoutMs?: number | undefined;
}

const usualTimeoutMs = 30_000;

/** One container, over HTTP. Answers are checked against the schemas that the container itself answers by. */
export class Connection {
  readonly #options: ConnectionOptions;
  readonly #base: URL;

  /** @throws CodedError INVALID_REQUEST for an address that is none */
  constructor(options: ConnectionOptions) {
    const base = URL.parse(options.url.endsWith("/") ? options.url : `${options.url}/`);
    if (base === null || !/^https?:$/.test(base.protocol)) {
      throw new CodedError("INVALID_REQUEST", `"${options.url}" is not an http or https address of a container.`);
    }
    this.#options = options;
    this.#base = base;
  }

  /**
   * @throws CodedError with the code that the container answers; WORKER_UNREACHABLE when it does not answer, or what
   *   answers is no such container; TIMED_OUT
   */
  async call<Answer extends z.ZodType>(route: Callable<Answer>, options: CallOptions = {}): Promise<z.output<Answer>> {
    const limit = AbortSignal.timeout(options.timeoutMs ?? this.#options.timeoutMs ?? usualTimeoutMs);
    const response = await this.open(route, { ...options, signal: eitherOf(options.signal, limit) });
    const schema = route.responses[response.status];
    if (schema === undefined) throw this.#stranger(`it answered with the status ${response.status}`);
    const parsed = schema.safeParse(await this.#json(response));
    if (!parsed.success) throw this.#stranger(`its answer has another form: ${z.prettifyError(parsed.error)}`);
    return parsed.data;
  }

  /** The answer as it comes, not yet read; an error is thrown as `call` throws it. */
  async open({ method, path }: Pick<Callable<z.ZodType>, "method" | "path">, options: CallOptions): Promise<Response> {
    const { body, signal } = options;
    const response = await this.#fetch(this.#address(path, options), {
      method,
      headers: {
        ...(this.#options.key === undefined ? {} : { Authorization: `Bearer ${this.#options.key}` }),
        ...(body === undefined ? {} : { "Content-Type": "application/json" }),
        ...options.headers,
      },
      // The key is for this address and for no other one.
      redirect: "error",
      ...(signal === undefined ? {} : { signal }),
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    if (response.ok) return response;
    const refusal = errorBody.safeParse(await this.#json(response));
    if (!refusal.success) throw this.#stranger(`it answered with the status ${response.status}`);
    const { code, error, details } = refusal.data;
    throw new CodedError(code, error, { details });
  }

  async #fetch(url: URL, init: RequestInit): Promise<Response> {
    try {
      return await (this.#options.fetch ?? globalThis.fetch)(url, init);
    } catch (cause) {
      throw this.#unreachable(cause, init.signal);
    }
  }

  async #json(response: Response): Promise<unknown> {
    const text = await response.text().catch((cause: unknown) => {
      throw this.#unreachable(cause, null);
    });
    try {
      return JSON.parse(text);
    } catch (cause) {
      throw this.#stranger(`its answer (status ${response.status}) is not JSON`, cause);
    }
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

  #stranger(what: string, cause?: unknown): CodedError {
    return new CodedError("WORKER_UNREACHABLE", `${this.#base.origin} is no container of this version: ${what}.`, {
      cause,
    });
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

function eitherOf(signal: AbortSignal | undefined, limit: AbortSignal): AbortSignal {
  return signal === undefined ? limit : AbortSignal.any([signal, limit]);
}
