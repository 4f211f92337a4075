import type { MiddlewareHandler } from "hono";
import { matchedRoutes } from "hono/route";
import type { Runtime } from "#runtime/container/runtime.ts";
import type { Route } from "./route.ts";

const methods = new Set(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]);

/** Counts requests and times them, by the pattern of their route: whoever invents addresses or methods makes no new series. */
export function requestMetrics(
  { httpRequests, httpSeconds }: Runtime["metrics"],
  routes: readonly Pick<Route, "path">[],
): MiddlewareHandler {
  const patterns = new Set(routes.map(({ path }) => path));
  return async (context, next) => {
    const startedAt = performance.now();
    await next();
    const matched = matchedRoutes(context).findLast(({ path }) => patterns.has(path));
    const route = matched?.path ?? "none";
    const method = methods.has(context.req.method) ? context.req.method : "other";
    httpRequests.add({ route, method, status: String(context.res.status) });
    httpSeconds.observe({ route, method }, (performance.now() - startedAt) / 1000);
  };
}
