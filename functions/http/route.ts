import type { z } from "zod";
import type { Runtime } from "#runtime/runtime.ts";
import type { ServerEvent } from "./event-stream.ts";

/**
 * Who may call a route. `open`: anyone. `key`: who sends one of the container's API keys (anyone on this machine, when
 * it has none and listens on loopback). `key or loopback`: the same, and any program on this machine. `signed`: who has an
 * address that this container signed.
 */
export type Access = "open" | "key" | "key or loopback" | "signed";

export type Method = "GET" | "POST" | "DELETE";

export interface RouteRequest<Params = unknown, Query = unknown, Body = unknown> {
  readonly id: string;
  /** HEAD is answered by the GET route; a route that streams checks it, so that it does not open what nobody reads. */
  readonly method: string;
  /** As it was sent, percent-encoding included. */
  readonly path: string;
  readonly headers: Headers;
  readonly params: Params;
  readonly query: Query;
  readonly body: Body;
  /** Every route of this container, for routes that describe it. */
  readonly routes: readonly Route[];
}

export type Responses = Readonly<Record<number, z.ZodType>>;

interface JsonReply {
  readonly status: number;
  readonly body: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

/** JSON, a stream of server-sent events, or a response that the route has made itself. */
export type Reply =
  | JsonReply
  | { readonly events: (signal: AbortSignal) => AsyncIterable<ServerEvent> }
  | { readonly response: Response };

/** A reply whose JSON has a declared status, and the body that is declared for it. */
type DeclaredReply<Declared extends Responses> =
  | (JsonReply &
      {
        [Status in keyof Declared]: { readonly status: Status; readonly body: z.input<Declared[Status]> };
      }[keyof Declared])
  | Exclude<Reply, JsonReply>;

/** What a route takes and answers. Validation, the handler's types and the API's description come from its schemas. */
export interface RouteDefinition<
  Params extends z.ZodType = z.ZodType,
  Query extends z.ZodType = z.ZodType,
  Body extends z.ZodType = z.ZodType,
  Declared extends Responses = Responses,
> {
  readonly method: Method;
  /** In Hono's notation: `/jobs/:id`. */
  readonly path: string;
  readonly access: Access;
  readonly summary: string;
  /** Media type of the answer where it is not JSON. */
  readonly produces?: string;
  readonly params?: Params;
  readonly query?: Query;
  readonly body?: Body;
  /** Reads the body in place of `body.parse` where what is allowed depends on the container, such as on its job types. */
  parseBody?(input: unknown, runtime: Runtime): z.output<Body>;
  /** The answer of each status that is not an error; for a stream of events, the data of one event. */
  readonly responses: Declared;
}

/** One function of the container. */
export interface Route extends RouteDefinition {
  handler(request: RouteRequest, runtime: Runtime): Reply | Promise<Reply>;
}

/**
 * Defines a route in two steps, because TypeScript checks what a handler returns against the declared responses only
 * when these are known before it looks at the handler:
 *
 * @example
 * export const getJob = defineRoute({ method: "GET", path: "/jobs/:id", params, responses: { 200: jobView }, … })
 *   .handle(async ({ params }, runtime) => ({ status: 200, body: await … }));
 */
export function defineRoute<
  Declared extends Responses,
  Params extends z.ZodType = z.ZodUndefined,
  Query extends z.ZodType = z.ZodUndefined,
  Body extends z.ZodType = z.ZodUndefined,
>(definition: RouteDefinition<Params, Query, Body, Declared>) {
  interface Handler {
    handler(
      request: RouteRequest<z.output<Params>, z.output<Query>, z.output<Body>>,
      runtime: Runtime,
    ): DeclaredReply<Declared> | Promise<DeclaredReply<Declared>>;
  }
  return { handle: (handler: Handler["handler"]): Route => ({ ...definition, handler }) };
}
