import type { HttpBindings } from "@hono/node-server";
import type { MiddlewareHandler } from "hono";
import type { Logger } from "#runtime/observe/log.ts";
import { isForeseen } from "../errors.ts";

export interface RequestState {
  /** Missing where no server hands the request over. */
  Bindings: Partial<HttpBindings>;
  Variables: { requestId: string };
}

/**
 * One line for each request, and the headers that every answer carries. The query is not logged: signatures are in it.
 */
export function requestLog(log: Logger): MiddlewareHandler<RequestState> {
  return async (context, next) => {
    const startedAt = performance.now();
    await next();
    const { headers, status } = context.res;
    headers.set("X-Request-Id", context.get("requestId"));
    headers.set("X-Content-Type-Options", "nosniff");
    if (!headers.has("Cache-Control")) headers.set("Cache-Control", "no-store");
    const fields = {
      request_id: context.get("requestId"),
      method: context.req.method,
      path: new URL(context.req.url).pathname,
      status,
      ms: Math.round(performance.now() - startedAt),
    };
    if (context.error !== undefined && isFailure(context.error)) {
      log.error({ ...fields, error: context.error }, "a request failed");
    } else {
      log.debug(fields, "request");
    }
  };
}

/** Not the caller's fault, nor a passing one: whoever reads the log must see it without the debug level. */
function isFailure(error: unknown): boolean {
  return !isForeseen(error) || error.status === 500;
}
