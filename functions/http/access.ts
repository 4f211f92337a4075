import { createHash, timingSafeEqual } from "node:crypto";
import { getConnInfo } from "@hono/node-server/conninfo";
import type { Context, MiddlewareHandler } from "hono";
import { isLoopback } from "#runtime/container/config.ts";
import type { Runtime } from "#runtime/container/runtime.ts";
import type { Access } from "../api/declare.ts";
import { HttpError } from "../errors.ts";
import { isLoopbackHost } from "./browser-guard.ts";
import { signedName } from "./signed-name.ts";

/** The check that each kind of access asks for. */
export function accessGuards({ config, files }: Pick<Runtime, "config" | "files">): Record<Access, MiddlewareHandler> {
  const open: MiddlewareHandler = (_context, next) => next();
  // Without a key the configuration allows loopback only, and browser-guard.ts keeps other sites out.
  const key = config.http.apiKeys.length === 0 ? open : requireKey(config.http.apiKeys);
  return {
    open,
    key,
    "key or loopback": (context, next) => (isFromThisMachine(context) ? next() : key(context, next)),
    signed: requireSignature(files),
  };
}

/** `Authorization: Bearer <one of the keys>`. */
export function requireKey(keys: readonly string[]): MiddlewareHandler {
  const digests = keys.map(digest);
  return (context, next) => {
    const given = /^Bearer +(\S+)$/i.exec(context.req.header("authorization") ?? "")?.[1];
    if (given === undefined) {
      throw unauthorized("This needs a key: send it as a bearer token in the header Authorization.");
    }
    const givenDigest = digest(given);
    // Digests have one length, and every key is compared: the time reveals neither a key's length nor which one matched.
    const matches = digests.filter((known) => timingSafeEqual(known, givenDigest)).length;
    if (matches === 0) throw unauthorized("The key is not one that this container knows.");
    return next();
  };
}

/** Set by proxies. Their values are not trusted; that they are there shows that the peer is not the client. */
const proxyHeaders = ["forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "cf-connecting-ip", "via"];

/**
 * A program on this machine, asking this machine by its own name. Not one elsewhere whose requests a proxy or tunnel on
 * this machine passes on, and no page whose name was made to resolve to it.
 */
function isFromThisMachine(context: Context): boolean {
  const { headers } = context.req.raw;
  if (proxyHeaders.some((name) => headers.has(name))) return false;
  return isLoopback(peerOf(context)) && isLoopbackHost(headers.get("host") ?? "");
}

/** The other end of the connection, an IPv4 one without its IPv6 form; empty for a request that came over none. */
function peerOf(context: Context): string {
  const env: unknown = context.env;
  if (typeof env !== "object" || env === null || !("incoming" in env)) return "";
  return getConnInfo(context).remote.address?.replace(/^::ffff:/, "") ?? "";
}

function digest(key: string): Buffer {
  return createHash("sha256").update(key).digest();
}

function unauthorized(message: string): HttpError {
  return new HttpError("UNAUTHORIZED", message, { headers: { "WWW-Authenticate": "Bearer" } });
}

/** An address that the store signed, and that has not expired. The answer reveals nothing about which files exist. */
function requireSignature(files: Runtime["files"]): MiddlewareHandler {
  return (context, next) => {
    const url = new URL(context.req.url);
    const name = signedName(url.pathname);
    const expires = url.searchParams.get("expires") ?? "";
    const signature = url.searchParams.get("signature") ?? "";
    if (name === null || !/^\d{1,12}$/.test(expires) || !files.verify(name, Number(expires), signature)) {
      throw new HttpError(
        "FORBIDDEN",
        "This address is not signed by this container, or has expired: ask for a new one.",
      );
    }
    return next();
  };
}
