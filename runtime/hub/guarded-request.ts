import { CodedError } from "#contract/errors.ts";
import { retryAfterSeconds } from "#runtime/lib/bounded-request.ts";
import { isPassing, PassingFault } from "./hub-errors.ts";

/** A GET request to the hub. */
export interface GuardedRequest {
  readonly url: string;
  /** Scheme, host and port that the token is for. */
  readonly endpoint: string;
  readonly token: string | undefined;
  readonly headers: Readonly<Record<string, string>>;
  readonly signal: AbortSignal;
  /** How long the head of an answer, or the next part of its body, may be waited for. */
  readonly idleMs: number;
}

export interface GuardedAnswer {
  /** Of the last host. */
  readonly status: number;
  readonly headers: Headers;
  /** Of the hub itself, also when it redirected: what it says of the file there. */
  readonly hubHeaders: Headers;
  /** Whether another host than the hub gave it. */
  readonly isElsewhere: boolean;
  /** The content as it is stored. Ends with a PassingFault when it breaks off or falls silent. */
  readonly body: AsyncIterable<Uint8Array>;
  /** Ends the transfer, read or not. */
  close(): void;
}

const maxRedirects = 5;

/**
 * Sends the request and follows its redirects by itself: the token goes to the hub's own address alone, and nothing that
 * came over TLS leads to where there is none. Content is never unpacked: its length and its hash are those of the stored file.
 *
 * @throws PassingFault when there is no answer, or one that says so (429, 5xx); CodedError HUB_REFUSED for a bad redirect; the
 *   signal's reason
 */
export async function guardedRequest(request: GuardedRequest): Promise<GuardedAnswer> {
  const transfer = new AbortController();
  const stop = () => transfer.abort(request.signal.reason);
  request.signal.addEventListener("abort", stop, { once: true });
  if (request.signal.aborted) stop();
  const close = () => {
    request.signal.removeEventListener("abort", stop);
    transfer.abort();
  };
  try {
    const { response, hubHeaders } = await follow(request, transfer);
    if (isPassing(response.status)) throw busy(response);
    return {
      status: response.status,
      headers: response.headers,
      hubHeaders,
      isElsewhere: new URL(response.url).origin !== new URL(request.endpoint).origin,
      body: guardedBody(response, request, transfer),
      close,
    };
  } catch (error) {
    close();
    throw error;
  }
}

async function follow(
  request: GuardedRequest,
  transfer: AbortController,
): Promise<{ readonly response: Response; readonly hubHeaders: Headers }> {
  const home = new URL(request.endpoint);
  let url = new URL(request.url);
  let hubHeaders: Headers | null = null;
  for (let hops = 0; ; hops++) {
    const response = await send(url, home, request, transfer);
    if (url.origin === home.origin) hubHeaders = response.headers;
    const location = response.headers.get("location");
    if (response.status < 300 || response.status >= 400 || location === null)
      return { response, hubHeaders: hubHeaders ?? response.headers };
    await response.body?.cancel();
    const next = URL.parse(location, url.href);
    if (next === null || !/^https?:$/.test(next.protocol) || (home.protocol === "https:" && next.protocol !== "https:"))
      throw new CodedError("HUB_REFUSED", `${url.host} redirects to an address that is not safe to follow.`);
    if (hops === maxRedirects)
      throw new CodedError("HUB_REFUSED", `${url.host} redirects more than ${maxRedirects} times.`);
    url = next;
  }
}

async function send(url: URL, home: URL, request: GuardedRequest, transfer: AbortController): Promise<Response> {
  const { token, headers, idleMs } = request;
  const isHome = url.origin === home.origin;
  const silence = new Silence(transfer, idleMs, url.host);
  try {
    return await fetch(url, {
      redirect: "manual",
      signal: transfer.signal,
      headers: {
        ...headers,
        "accept-encoding": "identity",
        ...(isHome && token !== undefined ? { authorization: `Bearer ${token}` } : {}),
      },
    });
  } catch (error) {
    throw faultOf(error, url.host, request.signal, silence);
  } finally {
    silence.end();
  }
}

async function* guardedBody(
  response: Response,
  { signal, idleMs }: GuardedRequest,
  transfer: AbortController,
): AsyncGenerator<Uint8Array> {
  if (response.body === null) return;
  const { host } = new URL(response.url);
  const silence = new Silence(transfer, idleMs, host);
  try {
    for await (const part of response.body) {
      silence.end();
      yield part;
      silence.begin();
    }
  } catch (error) {
    throw faultOf(error, host, signal, silence);
  } finally {
    silence.end();
  }
}

/** Ends a transfer in which nothing moves. The time that the reader takes does not count. */
class Silence {
  readonly #transfer: AbortController;
  readonly #limitMs: number;
  readonly #host: string;
  #timer: NodeJS.Timeout | undefined;
  fault: PassingFault | null = null;

  constructor(transfer: AbortController, limitMs: number, host: string) {
    this.#transfer = transfer;
    this.#limitMs = limitMs;
    this.#host = host;
    this.begin();
  }

  begin(): void {
    this.#timer = setTimeout(() => {
      this.fault = new PassingFault(`${this.#host} sent nothing for ${this.#limitMs / 1000} seconds`);
      this.#transfer.abort(this.fault);
    }, this.#limitMs);
  }

  end(): void {
    clearTimeout(this.#timer);
  }
}

function faultOf(error: unknown, host: string, signal: AbortSignal, { fault }: Silence): unknown {
  if (signal.aborted) return signal.reason;
  if (fault !== null) return fault;
  return new PassingFault(`the connection to ${host} failed (${reasonOf(error)})`, { cause: error });
}

/** The system's word for it: fetch says "fetch failed" or "terminated" whatever the cause. */
function reasonOf(error: unknown): string {
  for (let at = error; at instanceof Error; at = at.cause) {
    if ("code" in at && typeof at.code === "string") return at.code;
  }
  return error instanceof Error ? error.message : "unknown reason";
}

function busy(response: Response): PassingFault {
  const wanted = retryAfterSeconds({ "retry-after": response.headers.get("retry-after") ?? undefined }, Date.now());
  return new PassingFault(`${new URL(response.url).host} answers ${response.status}`, { retryAfterSeconds: wanted });
}
