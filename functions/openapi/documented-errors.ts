import { type ErrorCode, errorStatus } from "#contract/errors.ts";
import type { Route } from "../http/route.ts";

const ofAccess: Readonly<Record<Route["access"], readonly ErrorCode[]>> = {
  open: [],
  key: ["UNAUTHORIZED"],
  page: ["UNAUTHORIZED"],
  signed: ["FORBIDDEN"],
};
/** Without a key, other names than this machine's and other sites' pages are refused, whatever the route. */
const ofEveryRoute: readonly ErrorCode[] = ["FORBIDDEN", "INTERNAL"];
const ofBodies: readonly ErrorCode[] = ["INVALID_REQUEST", "BODY_TOO_LARGE", "UNSUPPORTED_MEDIA_TYPE"];

/**
 * Every error that a route may answer, by status, under the names that it gives them; those of the connection itself (408, 431)
 * come before any route.
 */
export function documentedErrors(route: Route): ReadonlyMap<number, readonly string[]> {
  const takesInput = route.params !== undefined || route.query !== undefined;
  const codes = new Set([
    ...ofEveryRoute,
    ...ofAccess[route.access],
    ...(takesInput ? (["INVALID_REQUEST"] as const) : []),
    ...(route.body === undefined ? [] : ofBodies),
    ...(route.takesJob ? (["INVALID_JOB"] as const) : []),
    ...(route.errors ?? []),
  ]);
  const described = [...codes]
    .toSorted()
    .map((code) => route.errorForm?.described(code) ?? { status: errorStatus[code], code });
  const byStatus = Map.groupBy(described, ({ status }) => status);
  return new Map([...byStatus].map(([status, errors]) => [status, errors.map(({ code }) => code)]));
}
