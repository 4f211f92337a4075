import { z } from "zod";
import type { ErrorCode } from "#contract/errors.ts";
import type { Runtime } from "#runtime/container/runtime.ts";
import type { EventStreams, ServerEvent } from "./event-stream.ts";

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
  /** Aborts when the client is gone before it has its answer. */
  readonly signal: AbortSignal;
  /** Where a route that waits takes its place among the streams. */
  readonly streams: Pick<EventStreams, "hold">;
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

/** What a route takes and answers. Validation, the handler's types, the client's and the API's description come from it. */
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
  /** More than fits into one line, for the API's description. */
  readonly description?: string;
  /** Media type of the answer where it is not JSON. */
  readonly produces?: string;
  readonly params?: Params;
  readonly query?: Query;
  /** Headers that the route reads, by name; what is wrong with one is for the route to say. */
  readonly headers?: Readonly<Record<string, z.ZodString>>;
  readonly body?: Body;
  /** Reads the body in place of `body.parse` where what is allowed depends on the container, such as on its job types. */
  parseBody?(input: unknown, runtime: Runtime): z.output<Body>;
  /** The body is a job, whose fields are those that its job type's handler takes. */
  readonly takesJob?: boolean;
  /** Of a page: what a browser that sends no key is answered in place of the error, so that it can ask for the key. */
  withoutKey?(runtime: Runtime): Response;
  /** The answer of each status that is not an error; for a stream of events, the data of one event. `noContent`: none. */
  readonly responses: Declared;
  /** Errors of its own, beside those that follow from its access, parameters and body. */
  readonly errors?: readonly ErrorCode[];
}

/** One function of the container. */
export interface Route extends RouteDefinition {
  handler(request: RouteRequest, runtime: Runtime): Reply | Promise<Reply>;
}

/** A route with the types of its schemas, for clients. */
export interface DeclaredRoute<
  Params extends z.ZodType,
  Query extends z.ZodType,
  Body extends z.ZodType,
  Declared extends Responses,
> extends Route {
  readonly params?: Params;
  readonly query?: Query;
  readonly body?: Body;
  parseBody?(input: unknown, runtime: Runtime): z.output<Body>;
  readonly responses: Declared;
}

/** For a status whose answer has no body. */
export const noContent = z.never();

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
  return {
    handle: (handler: Handler["handler"]): DeclaredRoute<Params, Query, Body, Declared> => ({ ...definition, handler }),
  };
}
