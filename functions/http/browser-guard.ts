import { isIP } from "node:net";
import type { MiddlewareHandler } from "hono";
import { isLoopback } from "#runtime/container/config.ts";
import { HttpError } from "../errors.ts";

const readingMethods = new Set(["GET", "HEAD", "OPTIONS"]);

/**
 * For a container without keys: whoever reaches it may use it, so pages of other sites must not reach it through the
 * browser of somebody at this machine. Two ways are closed:
 *
 *   DNS rebinding   a page whose own name resolves to 127.0.0.1 is of the same origin to the browser, but its requests
 *                   carry that name in Host
 *   cross-site      a form or script of another site can send a request without reading the answer; browsers mark it in
 *                   Sec-Fetch-Site and Origin. Clients that are not browsers send neither.
 */
export const onlyThisMachine: MiddlewareHandler = (context, next) => {
  const host = context.req.header("host") ?? new URL(context.req.url).host;
  if (!isLoopbackHost(host)) {
    throw new HttpError(
      "FORBIDDEN",
      "Without a key the container answers on localhost and 127.0.0.1 only: set WAN_WORKER_API_KEY to use another name.",
    );
  }
  if (!readingMethods.has(context.req.method) && isCrossSite(context.req.raw.headers, host)) {
    throw new HttpError("FORBIDDEN", "Without a key the container takes no requests from other sites' pages.");
  }
  return next();
};

/** A name such as 127.example.com is not loopback: only an address can begin with 127. */
export function isLoopbackHost(host: string): boolean {
  const url = URL.parse(`http://${host}`);
  const name = url?.hostname.replace(/^\[|\]$/g, "") ?? "";
  return name === "localhost" || name.endsWith(".localhost") || (isIP(name) !== 0 && isLoopback(name));
}

function isCrossSite(headers: Headers, host: string): boolean {
  const site = headers.get("sec-fetch-site");
  if (site !== null && site !== "same-origin" && site !== "none") return true;
  const origin = headers.get("origin");
  return origin !== null && URL.parse(origin)?.host !== URL.parse(`http://${host}`)?.host;
}
