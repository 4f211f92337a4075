import { hash, timingSafeEqual } from "node:crypto";
import type { IncomingMessage } from "node:http";
import { isLoopback } from "#runtime/container/config.ts";
import { proxyTrace } from "#runtime/lib/proxy-trace.ts";
import { RestError } from "./rest-error.ts";

/** What a token's holder may do: everything, or read what it knows the key of. */
export type Access = "full" | "read";

export interface Tokens {
  readonly token: string | undefined;
  readonly readOnlyToken: string | undefined;
}

/**
 * Decides what a request may do.
 *
 * @param queryToken the token of the URL, which goes before the header's
 * @throws RestError 401 without a valid token, 403 for a web page when there are no tokens
 */
export type Authenticate = (request: IncomingMessage, queryToken: string | undefined) => Access;

export function createAuthenticate({ token, readOnlyToken }: Tokens): Authenticate {
  if (token === undefined) return authenticateLoopback;
  const full = digest(token);
  const read = readOnlyToken === undefined ? undefined : digest(readOnlyToken);
  return (request, queryToken) => {
    // Digests have one length, and so compare in constant time whatever was sent.
    const given = digest(queryToken ?? headerToken(request.headers.authorization));
    if (timingSafeEqual(given, full)) return "full";
    if (read !== undefined && timingSafeEqual(given, read)) return "read";
    throw new RestError(401, "WRONGPASS invalid or missing auth token");
  };
}

/**
 * Without tokens the gateway listens on loopback only, where whatever runs on the machine may use it. A web page that
 * is open in this machine's browser can send requests to loopback as well, and must not: browsers say so in headers
 * that pages cannot set, and a name that an attacker points at 127.0.0.1 shows in `Host`. A proxy at this machine passes on
 * requests of others.
 */
const authenticateLoopback: Authenticate = ({ headers, httpVersion }) => {
  const site = headers["sec-fetch-site"];
  const fromPage = headers.origin !== undefined || (site !== undefined && site !== "none");
  if (fromPage || !isLoopback(hostName(headers.host ?? "")))
    throw new RestError(403, "NOPERM a gateway without a token answers programs on its own machine, not web pages");
  const trace = proxyTrace(Object.keys(headers), httpVersion);
  if (trace !== null)
    throw new RestError(
      403,
      `NOPERM a gateway without a token answers programs on its own machine, and this came through a proxy (${trace}): set GATEWAY_TOKEN`,
    );
  return "full";
};

/** The host of a `Host` header: `127.0.0.1:8079`, `[::1]:8079`, `localhost`. */
function hostName(host: string): string {
  return host.replace(/:\d+$/, "").replace(/^\[(.*)\]$/, "$1");
}

/** Upstash takes the token with and without `Bearer`. */
function headerToken(authorization = ""): string {
  return authorization.replace(/^bearer\s+/i, "").trim();
}

function digest(token: string): Buffer {
  return hash("sha256", token, "buffer");
}
