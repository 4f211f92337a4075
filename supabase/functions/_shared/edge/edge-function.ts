import { toErrorReport } from "../errors.ts";
import type { EdgeResponse } from "./answer.ts";
import { errorAnswer, HttpError, isForeseen } from "./answer.ts";
import { inBackground } from "./background.ts";
import { type Caller, type CallerKind, identify } from "./callers.ts";
import { corsHeaders, preflightHeaders } from "./cors.ts";
import { connectDatabase, type Database } from "./database.ts";
import { type EdgeConfig, readEdgeConfig } from "./environment.ts";
import { createEdgeLog, type EdgeLog } from "./log.ts";
import { createUserVerifier, type VerifyUser } from "./user-token.ts";

/** One edge function: who may call it, and what it does. Everything around it is the same for all. */
export interface EdgeFunction<Kind extends CallerKind = CallerKind> {
  /** Its folder, and the last part of its address. */
  readonly name: string;
  readonly methods: readonly ("GET" | "POST" | "DELETE")[];
  readonly callers: readonly Kind[];
  run(call: EdgeCall<Kind>): Promise<EdgeResponse>;
}

export interface EdgeCall<Kind extends CallerKind = CallerKind> extends CallOfAnybody {
  readonly caller: Extract<Caller, { readonly kind: Kind }>;
}

/** What does not depend on who calls. */
export interface CallOfAnybody {
  readonly request: Request;
  readonly config: EdgeConfig;
  readonly log: EdgeLog;
  /** With the project's own rights. */
  readonly database: Database;
  /** Goes on after the answer; a failure is logged. */
  inBackground(what: string, work: Promise<unknown>): void;
}

/** A function whose callers are checked when it runs; it can stand in a list with the others. */
export interface ServedFunction {
  readonly name: string;
  /** @param env the function's environment */
  serve(env: Readonly<Record<string, string | undefined>>): (request: Request) => Promise<Response>;
}

/**
 * Makes a function that can be served.
 *
 * @example
 * export const jobStatus = defineEdgeFunction({ name: "job-status", methods: ["GET"], callers: ["user"], run });
 * // supabase/functions/job-status/index.ts
 * Deno.serve(jobStatus.serve(Deno.env.toObject()));
 */
export function defineEdgeFunction<Kind extends CallerKind>(definition: EdgeFunction<Kind>): ServedFunction {
  return {
    name: definition.name,
    serve(env) {
      const project = connectProject(env);
      return (request) => answer(definition, request, project);
    },
  };
}

interface Project {
  readonly config: EdgeConfig;
  readonly database: Database;
  readonly verifyUser: VerifyUser;
}

/** What an isolate makes once. A wrong environment is reported at every request: a function that cannot start says nothing. */
function connectProject(env: Readonly<Record<string, string | undefined>>): () => Project {
  let made: Project | undefined;
  return () => {
    if (made !== undefined) return made;
    const config = readEdgeConfig(env);
    const database = connectDatabase(config.supabaseUrl, config.serviceKeys[0]);
    made = { config, database, verifyUser: createUserVerifier(config) };
    return made;
  };
}

async function answer<Kind extends CallerKind>(
  definition: EdgeFunction<Kind>,
  request: Request,
  project: () => Project,
): Promise<Response> {
  const startedMs = performance.now();
  const requestId = requestIdOf(request.headers);
  const log = createEdgeLog({ function: definition.name, request_id: requestId });
  const cors: Record<string, string> = {};
  let reply: EdgeResponse;
  try {
    const made = project();
    // Browsers have no business where only the project itself may call.
    if (definition.callers.some((kind) => kind === "user")) {
      Object.assign(cors, corsHeaders(request.headers.get("origin"), made.config.allowedOrigins));
    }
    if (request.method === "OPTIONS") {
      return new Response(null, { status: 204, headers: { ...cors, ...preflightHeaders(definition.methods) } });
    }
    reply = await run(definition, request, made, log);
  } catch (error) {
    reply = errorAnswer(error);
    logError(log, error, reply.status);
  }
  const ms = Math.round(performance.now() - startedMs);
  if (reply.status < 400) log.info({ status: reply.status, ms }, "request");
  const always = { "X-Request-Id": requestId, "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff" };
  return Response.json(reply.body, { status: reply.status, headers: { ...always, ...cors, ...reply.headers } });
}

/** What is wrong with a body is reported to its sender and not to the log: the sentence quotes it. */
const quoting = new Set([400, 413, 415, 422]);

function logError(log: EdgeLog, error: unknown, status: number): void {
  const { code, message, details } = toErrorReport(error);
  if (!isForeseen(error)) log.error({ code, status, error: message }, "a request failed");
  else if (code === "POLICY_REFUSED") log.info({ code, status, details }, "refused");
  else log.info({ code, status, ...(quoting.has(status) ? {} : { reason: message }) }, "refused");
}

async function run<Kind extends CallerKind>(
  definition: EdgeFunction<Kind>,
  request: Request,
  { config, database, verifyUser }: Project,
  log: EdgeLog,
): Promise<EdgeResponse> {
  if (!definition.methods.some((method) => method === request.method)) {
    const Allow = [...definition.methods, "OPTIONS"].join(", ");
    const message = `${request.method.slice(0, 20)} is not answered here: use ${definition.methods.join(" or ")}.`;
    throw new HttpError("METHOD_NOT_ALLOWED", message, { headers: { Allow } });
  }
  const caller = await identify(request.headers, definition.callers, { ...config, verifyUser });
  if (!isAllowed(caller, definition.callers)) throw new Error(`a caller of the kind ${caller.kind} got through`);
  return definition.run({
    request,
    caller,
    config,
    log,
    database,
    inBackground(what, work) {
      inBackground(work, (error) => log.error({ what, error: toErrorReport(error).message }, "background work failed"));
    },
  });
}

function isAllowed<Kind extends CallerKind>(
  caller: Caller,
  allowed: readonly Kind[],
): caller is Extract<Caller, { readonly kind: Kind }> {
  return allowed.some((kind) => kind === caller.kind);
}

/** A caller's own id is kept when it is harmless, so that its log and ours can be laid side by side. */
function requestIdOf(headers: Headers): string {
  const given = headers.get("x-request-id") ?? "";
  return /^[A-Za-z0-9_-]{8,64}$/.test(given) ? given : crypto.randomUUID();
}
