import { z } from "zod";
import type { ErrorCode } from "#contract/errors.ts";

/*
 * A route is declared apart from its body, so that clients, the API's description and tests know it without loading the
 * server. Nothing in this folder imports anything but schemas.
 */

/**
 * Who may call a route. `open`: anyone. `key`: who sends one of the container's API keys (any program on this machine, when
 * it has none and listens on loopback). `page`: the same, and pages of other sites may link to it. `signed`: who has an
 * address that this container signed.
 */
export type Access = "open" | "key" | "page" | "signed";

export type Method = "GET" | "POST" | "PATCH" | "DELETE";

export type Responses = Readonly<Record<number, z.ZodType>>;

export const eventStreamType = "text/event-stream";

/** For a status whose answer has no body. */
export const noContent = z.never();

/** What a route takes and answers. Validation, the body's types, the client's and the API's description come from it. */
export interface RouteDeclaration<
  M extends Method = Method,
  Path extends string = string,
  Params extends z.ZodType = z.ZodType,
  Query extends z.ZodType = z.ZodType,
  Body extends z.ZodType = z.ZodType,
  Declared extends Responses = Responses,
> {
  readonly method: M;
  /** In Hono's notation: `/jobs/:id`. */
  readonly path: Path;
  readonly access: Access;
  readonly summary: string;
  /** More than fits into one line, for the API's description. */
  readonly description?: string;
  /** Media type of the answer where it is not JSON. */
  readonly produces?: string;
  readonly params?: Params;
  readonly query?: Query;
  /** Headers that the route reads, by name; what is wrong with one is for the route to say. */
  readonly headers?: Readonly<Record<string, z.ZodString>>;
  readonly body?: Body;
  /** The body is a job, whose fields are those that its job type's handler takes. */
  readonly takesJob?: boolean;
  /** The body is a file, of a kind that the route says. */
  readonly takesFile?: boolean;
  /** The answer of each status that is not an error; for a stream of events, the data of one event. `noContent`: none. */
  readonly responses: Declared;
  /** Errors of its own, beside those that follow from its access, parameters and body. */
  readonly errors?: readonly ErrorCode[];
}

/**
 * Declares a route. Its schemas stay known one by one, which types its body and its calls.
 *
 * @example
 * export const getJob = declareRoute({ method: "GET", path: "/jobs/:id", params: jobParams, responses: { 200: jobView }, … });
 */
export function declareRoute<
  const M extends Method,
  const Path extends string,
  Declared extends Responses,
  Params extends z.ZodType = z.ZodUndefined,
  Query extends z.ZodType = z.ZodUndefined,
  Body extends z.ZodType = z.ZodUndefined,
>(
  declaration: RouteDeclaration<M, Path, Params, Query, Body, Declared>,
): RouteDeclaration<M, Path, Params, Query, Body, Declared> {
  return declaration;
}
