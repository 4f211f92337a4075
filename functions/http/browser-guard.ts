import { isIP } from "node:net";
import type { MiddlewareHandler } from "hono";
import { isLoopback } from "#runtime/container/config.ts";
import { proxyTrace } from "#runtime/lib/proxy-trace.ts";
import { HttpError } from "../errors.ts";
import type { RequestState } from "./request-log.ts";

/*
 * For a container without keys: whoever reaches it may use it, so nobody may reach it through somebody at this machine.
 * Three ways are closed:
 *
 *   DNS rebinding   a page whose own name resolves to 127.0.0.1 is of the same origin to the browser, but its requests
 *                   carry that name in Host
 *   a proxy         on this machine passes on requests of others
 *   cross-site      a picture, form or script of another site can send a request without reading the answer; browsers mark
 *                   it in Sec-Fetch-Site and Origin. Clients that are not browsers send neither. Reading costs too: a
 *                   check of the whole container, commands that a queue bills.
 */

/** For every request. */
export const onlyThisMachine: MiddlewareHandler<RequestState> = (context, next) => {
  if (!isLoopbackHost(hostOf(context.req))) {
    throw new HttpError(
      "FORBIDDEN",
      "Without a key the container answers on localhost and 127.0.0.1 only: set WAN_WORKER_API_KEY to use another name.",
    );
  }
  const trace = proxyTrace(context.req.raw.headers.keys(), context.env?.incoming?.httpVersion);
  if (trace !== null) {
    throw new HttpError(
      "FORBIDDEN",
      `Without a key the container answers programs of its own machine only, and this came through a proxy (${trace}): set WAN_WORKER_API_KEY.`,
    );
  }
  return next();
};

/** For what anybody may call who may call the container at all: everything but what is open or signed. */
export const onlyOwnPages: MiddlewareHandler = (context, next) => {
  refuseCrossSite(context.req.raw.headers, hostOf(context.req));
  return next();
};

/** For a page, which another site may link to, and not hold in a frame. */
export const onlyOwnPagesAndLinks: MiddlewareHandler = (context, next) => {
  const { headers } = context.req.raw;
  const isOpened = headers.get("sec-fetch-mode") === "navigate" && headers.get("sec-fetch-dest") === "document";
  if (!isOpened) refuseCrossSite(headers, hostOf(context.req));
  return next();
};

/** A name such as 127.example.com is not loopback: only an address can begin with 127. */
export function isLoopbackHost(host: string): boolean {
  const url = URL.parse(`http://${host}`);
  const name = url?.hostname.replace(/^\[|\]$/g, "") ?? "";
  return name === "localhost" || name.endsWith(".localhost") || (isIP(name) !== 0 && isLoopback(name));
}

function hostOf(request: { header(name: string): string | undefined; readonly url: string }): string {
  return request.header("host") ?? new URL(request.url).host;
}

function refuseCrossSite(headers: Headers, host: string): void {
  if (isCrossSite(headers, host))
    throw new HttpError("FORBIDDEN", "Without a key the container takes no requests from other sites' pages.");
}

function isCrossSite(headers: Headers, host: string): boolean {
  const site = headers.get("sec-fetch-site");
  if (site !== null && site !== "same-origin" && site !== "none") return true;
  const origin = headers.get("origin");
  return origin !== null && URL.parse(origin)?.host !== URL.parse(`http://${host}`)?.host;
}
