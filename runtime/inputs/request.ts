import type { IncomingMessage } from "node:http";
import { RetryableError } from "#contract/errors.ts";
import { inputMimeTypes } from "#contract/handler.ts";
import { http, https } from "#runtime/lib/node-http.ts";
import { type AddressGuard, shownUrl, type Target } from "./address-guard.ts";
import { addressesOf, openConnection } from "./guarded-connection.ts";
import type { InputLimits } from "./limits.ts";
import type { Network } from "./network.ts";

export interface RequestOptions {
  readonly guard: AddressGuard;
  readonly network: Network;
  readonly limits: InputLimits;
  readonly headers: Readonly<Record<string, string>>;
  readonly signal: AbortSignal;
}

/**
 * One GET request: the host is resolved once, all its addresses are checked, and the connection goes to one of them.
 * Resolves with the answer's head; the body is still to come and ends with an error when it breaks off or falls silent.
 * On node:http: each request has a socket of its own that was made for a checked address, so a pool has nothing to give.
 *
 * @throws PermanentError INPUT_REFUSED, RetryableError INPUT_UNREACHABLE; the signal's reason when it is aborted
 */
export async function requestInput(target: Target, options: RequestOptions): Promise<IncomingMessage> {
  const addresses = await resolveHost(target, options);
  options.guard.checkAddresses(target, addresses);
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  const { url } = target;
  const send = url.protocol === "https:" ? https.request : http.request;
  const request = send({
    method: "GET",
    path: `${url.pathname}${url.search}`,
    setHost: false,
    headers: {
      Host: url.host,
      // Named one by one: to "image/*" some servers answer with a format that handlers cannot read.
      Accept: `${inputMimeTypes.join(", ")}, */*;q=0.1`,
      // A body that grows when it is unpacked could not be bounded by what was announced.
      "Accept-Encoding": "identity",
      "User-Agent": "ourvidz-worker",
      ...options.headers,
    },
    createConnection: () => openConnection(url, addresses, options.network),
    signal: options.signal,
  });
  let response: IncomingMessage | null = null;
  request.setTimeout(options.limits.silenceMs, () =>
    (response ?? request).destroy(new Error("its server fell silent")),
  );
  request.once("response", resolve);
  // Not once: a connection that breaks while the body comes is reported here too.
  request.on("error", reject);
  request.end();
  try {
    response = await promise;
    return response;
  } catch (cause) {
    throw unreachable(target.url, cause, options.signal);
  }
}

async function resolveHost({ url }: Target, { network, signal }: RequestOptions): Promise<readonly string[]> {
  try {
    return await addressesOf(url, network, signal);
  } catch (cause) {
    throw unreachable(url, cause, signal);
  }
}

/** What went wrong on the way, as an error that lets the job be tried again. A cancel stays what it is. */
export function unreachable(url: URL, cause: unknown, signal: AbortSignal): unknown {
  if (signal.aborted && !isTimeout(signal.reason)) return signal.reason;
  const why = signal.aborted ? "it took too long" : describe(cause);
  return new RetryableError(`The file ${shownUrl(url)} could not be fetched: ${why.replace(/\.$/, "")}.`, {
    code: "INPUT_UNREACHABLE",
    cause,
  });
}

function isTimeout(reason: unknown): boolean {
  return reason instanceof DOMException && reason.name === "TimeoutError";
}

export function describe(cause: unknown): string {
  if (!(cause instanceof Error)) return "the connection failed";
  // Where several addresses were tried, the message is empty and the errors are inside.
  const inner: unknown = cause instanceof AggregateError ? cause.errors[0] : cause;
  return inner instanceof Error && inner.message !== "" ? inner.message : "the connection failed";
}
