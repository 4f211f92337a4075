import { createHash, timingSafeEqual } from "node:crypto";
import type { MiddlewareHandler } from "hono";
import type { Runtime } from "#runtime/container/runtime.ts";
import type { Access } from "../api/declare.ts";
import { HttpError } from "../errors.ts";
import { onlyOwnPages, onlyOwnPagesAndLinks } from "./browser-guard.ts";
import { signedName } from "./signed-name.ts";

/**
 * The check that each kind of access asks for. Nobody is exempt from the key for where a request comes from: a proxy on this
 * machine passes on those of others. Without keys the configuration allows loopback only, and other sites are kept out.
 */
export function accessGuards({ config, files }: Pick<Runtime, "config" | "files">): Record<Access, MiddlewareHandler> {
  const { apiKeys } = config.http;
  const key = apiKeys.length === 0 ? null : requireKey(apiKeys);
  return {
    open: (_context, next) => next(),
    key: key ?? onlyOwnPages,
    page: key ?? onlyOwnPagesAndLinks,
    signed: requireSignature(files),
  };
}

/** `Authorization: Bearer <one of the keys>`; with `isBare`, also the key alone. @param options.knownBy who has the keys */
export function requireKey(
  keys: readonly string[],
  { isBare = false, knownBy = "this container" } = {},
): MiddlewareHandler {
  const form = isBare ? /^(?:Bearer +)?(\S+)$/i : /^Bearer +(\S+)$/i;
  const digests = keys.map(digest);
  return (context, next) => {
    const given = form.exec(context.req.header("authorization") ?? "")?.[1];
    if (given === undefined) {
      throw unauthorized("This needs a key: send it as a bearer token in the header Authorization.");
    }
    const givenDigest = digest(given);
    // Digests have one length, and every key is compared: the time reveals neither a key's length nor which one matched.
    const matches = digests.filter((known) => timingSafeEqual(known, givenDigest)).length;
    if (matches === 0) throw unauthorized(`The key is not one that ${knownBy} knows (WAN_WORKER_API_KEY).`);
    return next();
  };
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
