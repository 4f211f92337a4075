import { createServer, type RequestListener, type Server } from "node:http";
import { CodedError } from "#contract/errors.ts";
import { isLoopback } from "#runtime/container/config.ts";
import { type ConnectionLimits, Connections } from "#runtime/lib/connections.ts";
import { throttled } from "#runtime/lib/throttled.ts";
import { within } from "#runtime/lib/within.ts";
import type { Logger } from "#runtime/observe/log.ts";
import { createAuthenticate } from "./access.ts";
import { Bodies } from "./bodies.ts";
import { EventStreams } from "./event-streams.ts";
import type { Faults } from "./faults.ts";
import { createHandler } from "./handle-request.ts";
import { RedisLink } from "./redis-link.ts";
import { Subscriptions } from "./subscriptions.ts";
import { UnderWay } from "./under-way.ts";

export interface GatewayOptions {
  /** `redis[s]://[[user][:password]@]host[:port][/database]` */
  readonly redisUrl: string;
  /** Off loopback a token is required. */
  readonly host: string;
  /** 0 takes any free port. */
  readonly port: number;
  readonly token?: string | undefined;
  /** May read what it knows the key of, and nothing else. */
  readonly readOnlyToken?: string | undefined;
  /** Upstash's limit by default. */
  readonly maxRequestBytes?: number;
  /** How long a request may wait for Redis before it is answered with 504. */
  readonly replyTimeoutMs?: number;
  readonly maxEventStreams?: number;
  readonly connections?: ConnectionLimits;
  /** For tests of clients: what goes wrong with which request. */
  readonly faults?: Faults;
  readonly random?: () => number;
  readonly log: Logger;
}

export interface Gateway {
  readonly url: string;
  readonly port: number;
  /** Ends event streams, lets requests under way finish for a while, and closes everything. */
  close(): Promise<void>;
}

export const defaultMaxRequestBytes = 10 * 1024 * 1024;
const closeLimitMs = 5_000;
const stalledAfterMs = 30_000;
/** Connections that the system may hold until they are taken; where it holds fewer, that counts. */
const backlog = 4096;
/** One address may have all event streams that there can be, as a proxy has, and others beside them. */
const connectionLimits: ConnectionLimits = { total: 2_000, perAddress: 1_500 };

/** A client that keeps its connection longer than the server would find it closed as it sends. */
const limits = {
  headersTimeout: 10_000,
  requestTimeout: 30_000,
  connectionsCheckingInterval: 5_000,
  keepAliveTimeout: 65_000,
  // The URL is part of it, and in the path style the arguments are part of the URL.
  maxHeaderSize: 128 * 1024,
} as const;

/**
 * Serves a Redis or Valkey over HTTP in the wire form of Upstash's REST API. It listens also while Redis is away.
 *
 * @throws CodedError CONFIG_INVALID (tokens, URL, address) or PORT_IN_USE
 */
export async function startGateway(options: GatewayOptions): Promise<Gateway> {
  checkTokens(options);
  const { redisUrl, log, replyTimeoutMs = 10_000, random = Math.random } = options;
  const link = new RedisLink({ redisUrl, log, replyTimeoutMs, random });
  const subscriptions = new Subscriptions(redisUrl, log);
  const streams = new EventStreams(subscriptions, options.maxEventStreams ?? 1_000);
  const stopping = new AbortController();
  const handler = createHandler({
    authenticate: createAuthenticate({ token: options.token, readOnlyToken: options.readOnlyToken }),
    bodies: new Bodies(options.maxRequestBytes ?? defaultMaxRequestBytes),
    link,
    streams,
    faults: options.faults,
    log,
    stopping: stopping.signal,
  });
  const underWay = new UnderWay();
  const server = createHttpServer((request, response) => {
    underWay.add(response);
    handler(request, response);
  });
  const { connections: limits = connectionLimits } = options;
  const refused = throttled((times) =>
    log.warn({ ...limits, times }, "connections were refused or ended for others: too many are open"),
  );
  new Connections(server, limits, refused);
  const release = (): void => {
    streams.close();
    subscriptions.close();
    link.close();
  };
  try {
    await Promise.all([link.connect(), listen(server, options)]);
  } catch (error) {
    release();
    throw error;
  }
  const { url, port } = addressOf(server);
  log.info({ url }, "the gateway listens");
  return {
    url,
    port,
    async close() {
      stopping.abort();
      server.close();
      streams.close();
      await within(closeLimitMs, underWay.none());
      server.closeAllConnections();
      release();
    },
  };
}

function checkTokens({ token, readOnlyToken, host }: GatewayOptions): void {
  if (token === "" || readOnlyToken === "") throw invalid("A token is empty: set one, or none.");
  if (token === undefined && readOnlyToken !== undefined)
    throw invalid("GATEWAY_READ_ONLY_TOKEN is set and GATEWAY_TOKEN is not: without it, everybody may do everything.");
  if (token !== undefined && token === readOnlyToken)
    throw invalid("GATEWAY_TOKEN and GATEWAY_READ_ONLY_TOKEN are the same.");
  if (token === undefined && !isLoopback(host))
    throw invalid(`${host} is reachable from outside: set GATEWAY_TOKEN, to what openssl rand -hex 32 prints.`);
}

function createHttpServer(handler: RequestListener): Server {
  const server = createServer(limits, handler);
  // A reader that takes nothing although something is waiting for it is gone; one that waits for Redis is not.
  server.setTimeout(stalledAfterMs, (socket) => {
    if (socket.writableLength > 0) socket.destroy();
  });
  return server;
}

async function listen(server: Server, { host, port }: GatewayOptions): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  server.once("error", reject);
  server.listen({ host, port, backlog }, resolve);
  try {
    await promise;
  } catch (cause) {
    const code = cause instanceof Error && "code" in cause ? String(cause.code) : "unknown reason";
    if (code === "EADDRINUSE")
      throw new CodedError("PORT_IN_USE", `Port ${port} of ${host} is in use: choose a free one (0 takes any).`, {
        cause,
      });
    throw invalid(`The gateway cannot listen on ${host}, port ${port} (${code}).`, cause);
  } finally {
    server.off("error", reject);
  }
}

/** An address that listens everywhere is reached at its loopback one. */
function addressOf(server: Server): { url: string; port: number } {
  const bound = server.address();
  if (bound === null || typeof bound === "string") throw new Error("the gateway listens on no port");
  const { address, family, port } = bound;
  if (family === "IPv6") return { url: `http://[${address === "::" ? "::1" : address}]:${port}`, port };
  return { url: `http://${address === "0.0.0.0" ? "127.0.0.1" : address}:${port}`, port };
}

function invalid(message: string, cause?: unknown): CodedError {
  return new CodedError("CONFIG_INVALID", message, { cause });
}
