import { createHash, timingSafeEqual } from "node:crypto";
import type { MiddlewareHandler } from "hono";
import type { Runtime } from "#runtime/runtime.ts";
import { HttpError } from "../errors.ts";
import type { Access } from "./route.ts";
import { signedName } from "./signed-name.ts";

/** The check that each kind of access asks for. */
export function accessGuards({ config, store }: Pick<Runtime, "config" | "store">): Record<Access, MiddlewareHandler> {
  return {
    open: (_context, next) => next(),
    // Without a key the configuration allows loopback only, and browser-guard.ts keeps other sites out.
    key: config.http.apiKeys.length === 0 ? (_context, next) => next() : requireKey(config.http.apiKeys),
    signed: requireSignature(store),
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
    // Digests have one length, and every key is compared: the time tells neither a key's length nor which one matched.
    const matches = digests.filter((known) => timingSafeEqual(known, givenDigest)).length;
    if (matches === 0) throw unauthorized("The key is not one that this container knows.");
    return next();
  };
}

function digest(key: string): Buffer {
  return createHash("sha256").update(key).digest();
}

function unauthorized(message: string): HttpError {
  return new HttpError("UNAUTHORIZED", message, { headers: { "WWW-Authenticate": "Bearer" } });
}

/** An address that the store signed, and that has not expired. The answer tells nothing about which files exist. */
function requireSignature(store: Runtime["store"]): MiddlewareHandler {
  return (context, next) => {
    const url = new URL(context.req.url);
    const name = signedName(url.pathname);
    const expires = url.searchParams.get("expires") ?? "";
    const signature = url.searchParams.get("signature") ?? "";
    if (name === null || !/^\d{1,12}$/.test(expires) || !store.verify(name, Number(expires), signature)) {
      throw new HttpError(
        "FORBIDDEN",
        "This address is not signed by this container, or has expired: ask for a new one.",
      );
    }
    return next();
  };
}
