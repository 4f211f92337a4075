import type { IncomingMessage, Server, ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { CodedError } from "#contract/errors.ts";
import type { Runtime } from "#runtime/container/runtime.ts";
import { type ConnectionLimits, Connections } from "#runtime/lib/connections.ts";
import { http } from "#runtime/lib/node-http.ts";
import { throttled } from "#runtime/lib/throttled.ts";
import type { Logger } from "#runtime/observe/log.ts";
import { limitArrival } from "./http/arrival-limit.ts";
import { answerClientError } from "./http/client-error.ts";
import { probeHalfClosed } from "./http/half-closed.ts";
import { RequestTurns } from "./http/request-turns.ts";
import type { App } from "./index.ts";
import type { Listener } from "./listener.ts";

export interface RunningServer {
  /** Where this machine reaches it: `http://127.0.0.1:7860`. */
  readonly url: string;
  readonly port: number;
  /** Rejects when the functions cannot be loaded: the container has to be installed anew. */
  readonly failed: Promise<never>;
  /** Takes no more connections, ends event streams, and lets running requests finish for a few seconds. */
  close(): Promise<void>;
}

export interface ServerOptions {
  readonly app?: App;
  /** How long running requests may go on at `close`. */
  readonly closeLimitMs?: number;
  /** How long a reader may take nothing of an answer that is on its way to it. */
  readonly stalledAfterMs?: number;
  /** How long a client may take to send its headers. */
  readonly headersTimeoutMs?: number;
  /** How long a client may take to send its whole request. */
  readonly requestTimeoutMs?: number;
  /** How long nothing of a file that is uploaded may come. */
  readonly uploadSilenceMs?: number;
  readonly connections?: ConnectionLimits;
}

/**
 * The functions' code is loaded by the first request, or when so much time has passed and no job runs: a container's first job
 * goes first. A container that always has one loads it in the end, for the metrics that it records are kept for a while only.
 */
const loading = { afterMs: 1_000, limitMs: 30_000 } as const;

/** Against clients that hold connections without using them; what a request may take once it has arrived is not limited. */
const httpLimits = {
  keepAliveTimeout: 65_000,
  maxHeaderSize: 16_384,
} as const;
const maxHeaders = 100;
/** Of the largest file, over a slow line. */
const uploadMs = 3_600_000;
/** Connections that the system may hold until they are taken; where it holds fewer, that counts. */
const backlog = 4096;
/** One address may have all streams that there can be, as a proxy has, and others beside them. */
const connectionLimits: ConnectionLimits = { total: 2_000, perAddress: 1_500 };

/**
 * Listens on the configured host and port; port 0 takes any free one.
 * @throws CodedError PORT_IN_USE, CONFIG_INVALID (a host or port that cannot be listened on)
 */
export async function startServer(runtime: Runtime, log: Logger, options: ServerOptions = {}): Promise<RunningServer> {
  const { host, port } = runtime.config.http;
  const functions = new Functions(async () => {
    const { createListener } = await import("./listener.ts");
    return createListener(runtime, log, options.app);
  });
  const { connections: limits = connectionLimits } = options;
  const server = createHttpServer(functions, options);
  const refused = throttled((times) =>
    log.warn({ ...limits, times }, "connections were refused or ended for others: too many are open"),
  );
  const connections = new Connections(server, limits, refused);
  await listen(server, host, port);
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("the server listens on no port");
  functions.loadSoon(() => runtime.dispatcher.activeJobs > 0);
  const { failed } = functions;
  const stop = () => close(server, connections, functions, options.closeLimitMs ?? 5_000);
  return { url: urlOf(address), port: address.port, failed, close: stop };
}

/** The functions of a server, which listens before their code is there. */
class Functions {
  readonly #load: () => Promise<Listener>;
  readonly #failure = Promise.withResolvers<never>();
  #listener: Promise<Listener> | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(load: () => Promise<Listener>) {
    this.#load = load;
    // Not every starter waits for it.
    this.#failure.promise.catch(() => undefined);
  }

  get failed(): Promise<never> {
    return this.#failure.promise;
  }

  loadSoon(isBusy: () => boolean, waitedMs = 0): void {
    this.#timer = setTimeout(() => {
      const waited = waitedMs + loading.afterMs;
      if (isBusy() && waited < loading.limitMs) this.loadSoon(isBusy, waited);
      else void this.#loaded().catch(() => undefined);
    }, loading.afterMs).unref();
  }

  async answer(incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
    const listener = await this.#loaded().catch(() => null);
    // Without functions the container ends.
    if (listener === null) outgoing.destroy();
    else await listener.answer(incoming, outgoing);
  }

  /** Ends what is streamed. Nobody has asked for functions that are not loaded. */
  async close(): Promise<void> {
    clearTimeout(this.#timer);
    const listener = await this.#listener?.catch(() => undefined);
    listener?.app.streams.close();
  }

  #loaded(): Promise<Listener> {
    if (this.#listener === undefined) {
      clearTimeout(this.#timer);
      this.#listener = this.#load();
      this.#listener.catch(this.#failure.reject);
    }
    return this.#listener;
  }
}

function createHttpServer(functions: Functions, options: ServerOptions): Server {
  const { stalledAfterMs = 60_000, headersTimeoutMs = 15_000 } = options;
  const { requestTimeoutMs: requestMs = 60_000, uploadSilenceMs: silenceMs = 30_000 } = options;
  const server = http.createServer(
    {
      ...httpLimits,
      headersTimeout: headersTimeoutMs,
      requestTimeout: uploadMs,
      connectionsCheckingInterval: headersTimeoutMs / 3,
    },
    (incoming, outgoing) => {
      // A reader that takes nothing although something is waiting for it is gone. One that waits for its answer is not.
      outgoing.setTimeout(stalledAfterMs, () => {
        if (incoming.socket.writableLength > 0) incoming.socket.destroy();
      });
      probeHalfClosed(incoming, outgoing);
      limitArrival(incoming, outgoing, { requestMs, uploadMs, silenceMs });
      turns.begin(incoming, outgoing, () => void functions.answer(incoming, outgoing));
    },
  );
  const turns = new RequestTurns(server);
  // Without it, Node closes the other half too, and who waits for an answer never gets it.
  Object.assign(server, { httpAllowHalfOpen: true });
  server.maxHeadersCount = maxHeaders;
  server.on("clientError", answerClientError);
  return server;
}

async function listen(server: Server, host: string, port: number): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  server.once("error", reject);
  server.listen({ host, port, backlog }, resolve);
  try {
    await promise;
  } catch (cause) {
    throw listenError(host, port, cause);
  } finally {
    server.off("error", reject);
  }
}

function listenError(host: string, port: number, cause: unknown): CodedError {
  const code = cause instanceof Error && "code" in cause ? String(cause.code) : "unknown reason";
  if (code === "EADDRINUSE") {
    const message = `Port ${port} of ${host} is in use, perhaps by another container: stop it, or set PORT to a free port (PORT=0 takes any).`;
    return new CodedError("PORT_IN_USE", message, { cause });
  }
  const message = `The container cannot listen on ${host}, port ${port} (${code}): set HOST and PORT to an address of this machine.`;
  return new CodedError("CONFIG_INVALID", message, { cause });
}

/** An address that listens everywhere is reached at its loopback one. */
function urlOf({ address, family, port }: AddressInfo): string {
  if (family === "IPv6") return `http://[${address === "::" ? "::1" : address}]:${port}`;
  return `http://${address === "0.0.0.0" ? "127.0.0.1" : address}:${port}`;
}

async function close(server: Server, connections: Connections, functions: Functions, limitMs: number): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  server.close(() => resolve());
  await functions.close();
  connections.close();
  const limit = setTimeout(() => server.closeAllConnections(), limitMs);
  await promise;
  clearTimeout(limit);
}
