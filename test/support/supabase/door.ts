import { once } from "node:events";
import {
  createServer,
  request as forward,
  type IncomingMessage,
  type RequestListener,
  type ServerResponse,
} from "node:http";
import { text as readText } from "node:stream/consumers";
import { asCaller, type Caller, type TestDatabase } from "./database.ts";
import { makeProjectKeys, type ProjectKeys } from "./keys.ts";
import { answerTo, callFunction, type RestAnswer, RestError, readTable } from "./rest.ts";

/** One address for a whole Supabase project, as its gateway has it: /rest/v1, /auth/v1, /storage/v1, /functions/v1. */
export interface SupabaseDoor extends ProjectKeys {
  readonly url: string;
  /** Requests so far, by path: `{"/rest/v1/rpc/claim_jobs": 3}`. */
  readonly requests: ReadonlyMap<string, number>;
  close(): Promise<void>;
}

/** `drop`: the connection ends before anything happened; `lose`: after it happened; an answer: instead of it. */
export type DoorFault = "drop" | "lose" | RestAnswer;

export interface DoorOptions {
  readonly database: TestDatabase;
  /** Answers /storage/v1; an address, or the listener of a server. */
  readonly storage?: string | RequestListener;
  /** Answers /functions/v1. */
  readonly functions?: string | RequestListener;
  readonly keys?: ProjectKeys;
  /** Asked at each request to /rest/v1 whether it goes wrong. */
  readonly fault?: (path: string) => DoorFault | undefined;
}

const noKey = {
  status: 401,
  body: { message: "No API key found in request", hint: "No `apikey` request header or url param was found." },
};
const wrongKey = { status: 401, body: { message: "Invalid API key", hint: "Double check your API key." } };

export async function startSupabaseDoor(options: DoorOptions): Promise<SupabaseDoor> {
  const keys = options.keys ?? (await makeProjectKeys());
  const requests = new Map<string, number>();
  const server = createServer((request, response) => {
    const url = new URL(request.url ?? "/", "http://door");
    requests.set(url.pathname, (requests.get(url.pathname) ?? 0) + 1);
    serve(options, keys, url, request, response).catch((error: unknown) => {
      if (!response.headersSent) send(response, { status: 500, body: { message: String(error) } });
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("the door has no port");
  return {
    ...keys,
    url: `http://127.0.0.1:${address.port}`,
    requests,
    async close() {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}

async function serve(
  options: DoorOptions,
  keys: ProjectKeys,
  url: URL,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  if (url.pathname.startsWith("/storage/v1/")) return pass(options.storage, "/storage/v1", request, response);
  if (url.pathname.startsWith("/functions/v1/")) return pass(options.functions, "/functions/v1", request, response);
  if (url.pathname === "/auth/v1/.well-known/jwks.json") return send(response, { status: 200, body: keys.jwks });
  const caller = await admit(keys, request);
  if ("status" in caller) return send(response, caller);
  if (url.pathname === "/auth/v1/user") return send(response, await currentUser(options.database, keys, request));
  const fault = options.fault?.(url.pathname);
  if (fault === "drop") return void request.socket.destroy();
  if (typeof fault === "object") return send(response, fault);
  const answer = await rest(options.database, caller, url, request);
  if (fault === "lose") return void request.socket.destroy();
  send(response, answer);
}

/** The gateway wants a key of the project on every request; a bearer token that is no such key says who calls. */
async function admit(keys: ProjectKeys, request: IncomingMessage): Promise<Caller | RestAnswer> {
  const key = request.headers.apikey;
  if (typeof key !== "string") return noKey;
  const project = await keys.callerOf(key);
  if (project === undefined || project.role === "authenticated") return wrongKey;
  const bearer = bearerOf(request);
  if (bearer === undefined || bearer === key) return project;
  const caller = bearer.startsWith("sb_") ? undefined : await keys.callerOf(bearer);
  if (caller !== undefined) return caller;
  return {
    status: 401,
    body: { code: "PGRST301", message: "JWT cannot be verified", details: null, hint: null },
  };
}

function bearerOf(request: IncomingMessage): string | undefined {
  return /^Bearer (.+)$/i.exec(request.headers.authorization ?? "")?.[1];
}

async function currentUser(database: TestDatabase, keys: ProjectKeys, request: IncomingMessage): Promise<RestAnswer> {
  const caller = await keys.callerOf(bearerOf(request) ?? "");
  if (caller?.userId === undefined) {
    return {
      status: 403,
      body: { code: 403, error_code: "bad_jwt", msg: "invalid JWT: unable to parse or verify signature" },
    };
  }
  const [row] = await database.query("select id, email, role from auth.user_by_id($1)", [caller.userId]);
  if (row === undefined) {
    const msg = "User from sub claim in JWT does not exist";
    return { status: 403, body: { code: 403, error_code: "user_not_found", msg } };
  }
  return { status: 200, body: { aud: "authenticated", ...row } };
}

async function rest(database: TestDatabase, caller: Caller, url: URL, request: IncomingMessage): Promise<RestAnswer> {
  const [, name, table] = /^\/rest\/v1\/(?:rpc\/(\w+)|(\w+))$/.exec(url.pathname) ?? [];
  try {
    if (name !== undefined) {
      if (request.method !== "POST") throw new RestError(405, "PGRST101", "Only POST is served for functions here");
      const body = await readText(request);
      const args: unknown = body === "" ? {} : parseBody(body);
      if (typeof args !== "object" || args === null)
        throw new RestError(400, "PGRST102", "Arguments must be an object");
      return await asCaller(database, caller, (query) => callFunction(query, name, { ...args }));
    }
    if (table === undefined) throw new RestError(404, "PGRST125", "Invalid path specified in request URL");
    if (request.method !== "GET") throw new RestError(405, "PGRST117", "Only GET is served for tables here");
    const rows = await asCaller(database, caller, (query) => readTable(query, table, url.searchParams));
    return one(rows, request.headers.accept ?? "");
  } catch (error) {
    return answerTo(error, caller.role !== "anon");
  }
}

/** `.single()` of the client asks for one object instead of a list. */
function one(rows: readonly unknown[], accept: string): RestAnswer {
  if (!accept.includes("application/vnd.pgrst.object+json")) return { status: 200, body: rows };
  if (rows.length === 1) return { status: 200, body: rows[0] };
  const details = `The result contains ${rows.length} rows`;
  return {
    status: 406,
    body: { code: "PGRST116", message: "Cannot coerce the result to a single JSON object", details, hint: null },
  };
}

function parseBody(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new RestError(400, "PGRST102", "Empty or invalid json");
  }
}

function send(response: ServerResponse, { status, body }: RestAnswer): void {
  response.writeHead(status, { "content-type": "application/json; charset=utf-8" });
  response.end(body === undefined ? undefined : JSON.stringify(body));
}

/** Hands a request on as it is, in both directions without keeping it in memory. */
function pass(
  target: string | RequestListener | undefined,
  prefix: string,
  request: IncomingMessage,
  response: ServerResponse,
): void {
  if (target === undefined) {
    send(response, { status: 404, body: { message: `nothing serves ${prefix} here` } });
    return;
  }
  if (typeof target === "function") {
    target(request, response);
    return;
  }
  // A base with a path of its own stands for the prefix; one without gets the whole path.
  const base = new URL(target);
  const path =
    base.pathname === "/" ? request.url : base.pathname.replace(/\/$/, "") + (request.url ?? "").slice(prefix.length);
  const outgoing = forward(
    { host: base.hostname, port: base.port, method: request.method, path, headers: request.headers },
    (incoming) => {
      response.writeHead(incoming.statusCode ?? 502, incoming.headers);
      incoming.pipe(response);
      incoming.on("error", () => response.destroy());
    },
  );
  outgoing.on("error", () => request.socket.destroy());
  request.on("aborted", () => outgoing.destroy());
  request.pipe(outgoing);
}
