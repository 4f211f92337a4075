import type { Context, Hono, MiddlewareHandler } from "hono";
import type { z } from "zod";
import type { FieldProblem } from "#contract/job.ts";
import { describeProblems, invalidJob, parseWith } from "#contract/problems.ts";
import { chunksOf } from "#contract/request-body.ts";
import type { Runtime } from "#runtime/container/runtime.ts";
import type { Logger } from "#runtime/observe/log.ts";
import { errorResponse, HttpError } from "../errors.ts";
import { accessGuards } from "./access.ts";
import { readJson } from "./body.ts";
import type { EventStreams } from "./event-stream.ts";
import type { AnsweredSocket } from "./half-closed.ts";
import { addressAt, requestBase } from "./request-base.ts";
import type { RequestState } from "./request-log.ts";
import type { Reply, Route, RouteRequest } from "./route.ts";

export interface MountOptions {
  readonly runtime: Runtime;
  readonly streams: EventStreams;
  readonly log: Logger;
}

/** Puts the routes into the app: the check of who may call, then of what was sent, then the handler. */
export function mount(app: Hono<RequestState>, routes: readonly Route[], options: MountOptions): void {
  const guards = accessGuards(options.runtime);
  for (const route of routes) {
    const answer: MiddlewareHandler<RequestState> = async (context) => {
      const request = await readRequest(context, route, routes, options);
      const reply = await route.handler(request, options.runtime);
      return respond(reply, request, options.streams, context.env?.incoming?.socket);
    };
    const guard = guardOf(route, guards[route.access], options.runtime);
    app.on(route.method, route.path, withErrors(route, guard), withErrors(route, answer));
  }
  for (const path of new Set(routes.map((route) => route.path))) {
    app.all(path, (context) => methodNotAllowed(context, allowedMethods(routes, path)));
  }
}

/** Errors as the route answers them, where it speaks another protocol. */
function withErrors({ errorForm }: Route, next: MiddlewareHandler): MiddlewareHandler {
  if (errorForm === undefined) return next;
  return async (context, after) => {
    try {
      return await next(context, after);
    } catch (error) {
      return errorForm.respond(error);
    }
  };
}

/** The guard of the route's access; a browser that it refuses for want of a key gets the route's page instead. */
function guardOf({ withoutKey }: Route, guard: MiddlewareHandler, runtime: Runtime): MiddlewareHandler {
  if (withoutKey === undefined) return guard;
  return async (context, next) => {
    try {
      return await guard(context, next);
    } catch (error) {
      const isBrowser = context.req.header("accept")?.includes("text/html") ?? false;
      if (isBrowser && error instanceof HttpError && error.code === "UNAUTHORIZED") return withoutKey(runtime);
      throw error;
    }
  };
}

async function readRequest(
  context: Context<RequestState>,
  route: Route,
  routes: readonly Route[],
  { runtime, streams, log }: MountOptions,
): Promise<RouteRequest> {
  const { raw } = context.req;
  const id = context.get("requestId");
  return {
    id,
    method: context.req.method,
    path: new URL(context.req.url).pathname,
    base: requestBase(raw, runtime.config.http.publicUrl),
    headers: raw.headers,
    params: checked(route.params, context.req.param(), "path"),
    query: checked(route.query, queryOf(context), "query"),
    body: route.body === undefined ? undefined : readBody(route, route.body, await readJson(raw), runtime),
    content: route.takesFile ? chunksOf(raw) : nothing(),
    get signal() {
      return raw.signal;
    },
    streams,
    audit: (what, fields) => log.info({ request_id: id, ...fields }, what),
    routes,
  };
}

/** A route that takes no file leaves the body alone. */
async function* nothing(): AsyncGenerator<Uint8Array> {}

function readBody(route: Route, schema: z.ZodType, input: unknown, runtime: Runtime): unknown {
  if (route.parseBody) return route.parseBody(input, runtime);
  const parsed = parseWith(schema, input);
  if (parsed.ok) return parsed.value;
  throw route.takesJob ? invalidJob(parsed.problems) : invalidRequest(parsed.problems, "body");
}

/** A parameter that is given twice becomes a list, which no schema here takes: better refused than half read. */
function queryOf(context: Context<RequestState>): Record<string, string | readonly string[] | undefined> {
  const given = Object.entries(context.req.queries());
  return Object.fromEntries(given.map(([name, values]) => [name, values.length === 1 ? values[0] : values]));
}

function checked(schema: z.ZodType | undefined, input: unknown, place: "path" | "query"): unknown {
  if (schema === undefined) return undefined;
  const parsed = parseWith(schema, input);
  if (parsed.ok) return parsed.value;
  throw invalidRequest(parsed.problems, place);
}

function invalidRequest(given: readonly FieldProblem[], place: "path" | "query" | "body"): HttpError {
  const problems = given.map((problem) => inPlace(problem, place));
  const message = `The ${place} is invalid: ${describeProblems(problems)}`;
  return new HttpError("INVALID_REQUEST", message, { details: problems });
}

/** A problem of the whole is called "job" by the contract. */
function inPlace(problem: FieldProblem, place: string): FieldProblem {
  return problem.field === "job" ? { ...problem, field: place } : problem;
}

function respond(
  reply: Reply,
  { method, base }: RouteRequest,
  streams: EventStreams,
  socket?: AnsweredSocket,
): Response {
  if ("response" in reply) return reply.response;
  if ("events" in reply) {
    try {
      return method === "HEAD" ? streams.respondToHead() : streams.respond(reply.events, socket);
    } catch (error) {
      reply.refused?.();
      throw error;
    }
  }
  return Response.json(reply.body, { status: reply.status, headers: headersOf(reply.headers ?? {}, base) });
}

/** A route names another one by its path. */
function headersOf(headers: Readonly<Record<string, string>>, base: string): Readonly<Record<string, string>> {
  const { Location } = headers;
  return Location === undefined ? headers : { ...headers, Location: addressAt(base, Location) };
}

function allowedMethods(routes: readonly Route[], path: string): string {
  const methods = routes.filter((route) => route.path === path).map((route) => route.method);
  return [...methods, ...(methods.includes("GET") ? ["HEAD"] : [])].join(", ");
}

function methodNotAllowed(context: Context<RequestState>, allow: string): Response {
  const message = `${context.req.method} is not possible here: use ${allow}.`;
  return errorResponse(new HttpError("METHOD_NOT_ALLOWED", message, { headers: { Allow: allow } }));
}
