import type { IncomingMessage, ServerResponse } from "node:http";
import type { Logger } from "#runtime/observe/log.ts";
import type { Access, Authenticate } from "./access.ts";
import type { Bodies } from "./bodies.ts";
import { readRefusalOf } from "./command-rules.ts";
import type { EventStreams } from "./event-streams.ts";
import type { Faults } from "./faults.ts";
import { injectFault } from "./inject-fault.ts";
import type { RedisLink } from "./redis-link.ts";
import { contentTypes, encodeError, readEncoding } from "./reply-encoding.ts";
import { RestError } from "./rest-error.ts";
import { type CommandRoute, readCommands, routeOf } from "./route.ts";
import { type RestReply, runCommands } from "./run-commands.ts";
import type { SubscriptionKind } from "./subscriptions.ts";
import { parseTarget, type Target } from "./target.ts";

export interface HandlerParts {
  readonly authenticate: Authenticate;
  readonly bodies: Bodies;
  readonly link: RedisLink;
  readonly streams: EventStreams;
  readonly faults: Faults | undefined;
  readonly log: Logger;
  /** Aborts when the gateway stops. */
  readonly stopping: AbortSignal;
}

const noBody = Buffer.alloc(0);
const methods: ReadonlySet<string> = new Set(["GET", "HEAD", "POST", "PUT"]);

/**
 * Upstash's clients send back the token of the last answer, for replicas that lag behind. All commands go to the one
 * Redis that took the writes, so that any token is up to date.
 */
const syncToken = "0";

/**
 * Answers one request, whatever happens. Plain `node:http`: with any path being a command there are no routes for a
 * framework to find, and its request and response objects would be paid for with every command.
 */
export function createHandler(parts: HandlerParts): (request: IncomingMessage, response: ServerResponse) => void {
  return (request, response) => {
    answer(parts, request, response).catch((error: unknown) => answerError(parts, request, response, error));
  };
}

async function answer(parts: HandlerParts, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const method = request.method ?? "";
  if (!methods.has(method)) return void response.writeHead(405, { allow: [...methods].join(", ") }).end();
  const target = parseTarget(request.url ?? "");
  const access = parts.authenticate(request, target.token);
  // A HEAD must change nothing, and there is nothing to say about a result that is not sent.
  if (method === "HEAD") return void response.writeHead(200).end();
  const route = routeOf(target);
  if (route === "subscribe" || route === "psubscribe") return answerStream(parts, route, target, access, response);
  const hasBody = method === "POST" || method === "PUT";
  const body = hasBody ? await parts.bodies.read(request) : noBody;
  try {
    await answerCommands(parts, { request, response, route, target, access, body });
  } finally {
    parts.bodies.release(body);
  }
}

interface CommandRequest {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly route: CommandRoute;
  readonly target: Target;
  readonly access: Access;
  readonly body: Buffer;
}

async function answerCommands(parts: HandlerParts, command: CommandRequest): Promise<void> {
  const { route, access, response } = command;
  const encoding = readEncoding(command.request.headers);
  const commands = readCommands(route, command.target, command.body);
  const fault = parts.faults?.({ route, commands });
  if (fault !== undefined && (await injectFault(fault, "before", response, parts.stopping))) return;
  const result = await runCommands(parts.link, { route, commands, access, encoding });
  if (fault !== undefined && (await injectFault(fault, "after", response, parts.stopping))) return;
  send(parts, command.request, response, result);
}

async function answerStream(
  parts: HandlerParts,
  kind: SubscriptionKind,
  target: Target,
  access: Access,
  response: ServerResponse,
): Promise<void> {
  const refusal = access === "full" ? null : readRefusalOf(kind.toUpperCase());
  if (refusal !== null) throw new RestError(400, refusal);
  const fault = parts.faults?.({ route: kind, commands: [] });
  if (fault !== undefined && (await injectFault(fault, "before", response, parts.stopping))) return;
  await parts.streams.open(kind, target.path.slice(1).map(String), response);
}

function answerError(parts: HandlerParts, request: IncomingMessage, response: ServerResponse, error: unknown): void {
  if (response.destroyed) return;
  if (response.headersSent) return void response.destroy();
  if (!(error instanceof RestError)) parts.log.error({ error }, "a request failed unexpectedly");
  const { status, message } = error instanceof RestError ? error : new RestError(500, "ERR internal error");
  send(parts, request, response, { status, contentType: contentTypes.json, body: encodeError(message) });
}

function send(
  { stopping }: HandlerParts,
  request: IncomingMessage,
  response: ServerResponse,
  { status, contentType, body }: RestReply,
): void {
  const isLast = stopping.aborted || !request.complete;
  response.writeHead(status, {
    "content-type": contentType,
    "content-length": Buffer.byteLength(body),
    "upstash-sync-token": syncToken,
    ...(isLast ? { connection: "close" } : {}),
  });
  response.end(body);
}
