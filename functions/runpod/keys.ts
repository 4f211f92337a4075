import type { MiddlewareHandler } from "hono";
import { HttpError } from "../errors.ts";
import { requireKey } from "../http/access.ts";
import { onlyOwnPages, onlyThisMachine } from "../http/browser-guard.ts";
import type { RequestState } from "../http/request-log.ts";
import { errorAnswer } from "./answers.ts";

/**
 * One of the keys in `Authorization`, as a bearer token or bare: clients send the one, containers and older clients the other.
 * Without keys, programs of this machine alone.
 * @param knownBy who has the keys
 */
export function requireAnyKey(keys: readonly string[], knownBy = "this container"): MiddlewareHandler<RequestState> {
  const guards: readonly MiddlewareHandler<RequestState>[] =
    keys.length === 0 ? [onlyThisMachine, onlyOwnPages] : [requireKey(keys, { isBare: true, knownBy })];
  return async (context, next) => {
    try {
      for (const guard of guards) await guard(context, async () => undefined);
    } catch (error) {
      if (error instanceof HttpError) return errorAnswer(error);
      throw error;
    }
    return await next();
  };
}
