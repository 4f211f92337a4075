import type { z } from "zod";
import type { ErrorCode } from "#contract/errors.ts";
import type { Runtime } from "#runtime/container/runtime.ts";
import type { Method, Responses, RouteDeclaration } from "../api/declare.ts";
import type { EventStreams, ServerEvents } from "./event-stream.ts";

export interface RouteRequest<Params = unknown, Query = unknown, Body = unknown> {
  readonly id: string;
  /** HEAD is answered by the GET route; a route that streams checks it, so that it does not open what nobody reads. */
  readonly method: string;
  /** As it was sent, percent-encoding included. */
  readonly path: string;
  /** Where the caller reaches this container: see request-base.ts. */
  readonly base: string;
  readonly headers: Headers;
  readonly params: Params;
  readonly query: Query;
  readonly body: Body;
  /** The body as it comes, where a route takes a file: not read yet, and not bounded. */
  readonly content: AsyncIterable<Uint8Array>;
  /** Aborts when the client is gone before it has its answer. */
  readonly signal: AbortSignal;
  /** Where a route that waits takes its place among the streams. */
  readonly streams: Pick<EventStreams, "hold">;
  /** Writes down who changed what: one line in the log, with the request's id. */
  audit(what: string, fields: Readonly<Record<string, unknown>>): void;
  /** Every route of this container, for routes that describe it. */
  readonly routes: readonly Route[];
}

interface JsonReply {
  readonly status: number;
  readonly body: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

/** JSON, a stream of server-sent events, or a response that the route has made itself. */
export type Reply =
  | JsonReply
  | {
      readonly events: (signal: AbortSignal) => AsyncIterable<ServerEvents>;
      /** No stream can be opened: what would have been sent has no reader. */
      readonly refused?: () => void;
    }
  | { readonly response: Response };

/** A reply whose JSON has a declared status, and the body that is declared for it. */
type DeclaredReply<Declared extends Responses> =
  | (JsonReply &
      {
        [Status in keyof Declared]: { readonly status: Status; readonly body: z.input<Declared[Status]> };
      }[keyof Declared])
  | Exclude<Reply, JsonReply>;

/** What errors look like where a route speaks another protocol than the rest of the API. */
export interface ErrorForm {
  /** Of the answer's body. */
  readonly schema: z.ZodType;
  /** With which status an error of a code is answered, and what it is called there. */
  described(code: ErrorCode): { readonly status: number; readonly code: string };
  respond(error: unknown): Response;
}

/** What a few routes need beside their body. */
export interface RouteHooks<Body> {
  /** Reads the body in place of its schema where what is allowed depends on the container, such as on its job types. */
  parseBody?(input: unknown, runtime: Runtime): Body;
  readonly errorForm?: ErrorForm;
  /** Of a page: what a browser that sends no key is answered in place of the error, so that it can ask for the key. */
  withoutKey?(runtime: Runtime): Response;
}

/** One function of the container: its declaration and its body. */
export interface Route extends RouteDeclaration, RouteHooks<unknown> {
  handler(request: RouteRequest, runtime: Runtime): Reply | Promise<Reply>;
}

/**
 * Gives a declared route its body, in two steps, because TypeScript checks what the body returns against the declared
 * responses only when these are known before it looks at the body:
 *
 * @example
 * export const getJobRoute = defineRoute(getJob)
 *   .handle(async ({ params }, runtime) => ({ status: 200, body: await … }));
 */
export function defineRoute<
  M extends Method,
  Path extends string,
  Params extends z.ZodType,
  Query extends z.ZodType,
  Body extends z.ZodType,
  Declared extends Responses,
>(declaration: RouteDeclaration<M, Path, Params, Query, Body, Declared>, hooks: RouteHooks<z.output<Body>> = {}) {
  // A method, so that a body for certain parameters is one for unknown ones: `mount` has checked them before.
  interface Handler {
    handler(
      request: RouteRequest<z.output<Params>, z.output<Query>, z.output<Body>>,
      runtime: Runtime,
    ): DeclaredReply<Declared> | Promise<DeclaredReply<Declared>>;
  }
  return { handle: (handler: Handler["handler"]): Route => ({ ...declaration, ...hooks, handler }) };
}
