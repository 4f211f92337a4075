import { isIP } from "node:net";
import type { MiddlewareHandler } from "hono";
import { isLoopback } from "#runtime/container/config.ts";
import { HttpError } from "../errors.ts";

/*
 * For a container without keys: whoever reaches it may use it, so nobody may reach it through somebody at this machine.
 * Three ways are closed:
 *
 *   DNS rebinding   a page whose own name resolves to 127.0.0.1 is of the same origin to the browser, but its requests
 *                   carry that name in Host
 *   a proxy         on this machine passes on requests of others, and says so in headers of its own
 *   cross-site      a picture, form or script of another site can send a request without reading the answer; browsers mark
 *                   it in Sec-Fetch-Site and Origin. Clients that are not browsers send neither. Reading costs too: a
 *                   check of the whole container, commands that a queue bills.
 */

/** For every request. */
export const onlyThisMachine: MiddlewareHandler = (context, next) => {
  const { headers } = context.req.raw;
  if (!isLoopbackHost(hostOf(context.req))) {
    throw new HttpError(
      "FORBIDDEN",
      "Without a key the container answers on localhost and 127.0.0.1 only: set WAN_WORKER_API_KEY to use another name.",
    );
  }
  if (isPassedOn(headers)) {
    throw new HttpError(
      "FORBIDDEN",
      "Without a key the container answers programs of its own machine only: set WAN_WORKER_API_KEY to use it behind a proxy.",
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

/** Set by proxies, for whom they pass a request on; one for this very machine is no reason to refuse it. */
const proxyHeaders = ["x-forwarded-for", "x-real-ip", "cf-connecting-ip", "forwarded"];

function isPassedOn(headers: Headers): boolean {
  return proxyHeaders
    .flatMap((name) => (headers.get(name) ?? "").split(/[,;]/))
    .map((part) =>
      part
        .trim()
        .replace(/^for=/i, "")
        .replace(/^"?\[?|\]?"?$/g, ""),
    )
    .some((client) => client !== "" && !/^(?:by|host|proto)=/i.test(client) && !isLoopback(client));
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
