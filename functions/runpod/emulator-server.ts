import { createServer, type Server } from "node:http";
import { getRequestListener } from "@hono/node-server";
import type { Hono } from "hono";
import { CodedError } from "#contract/errors.ts";
import { type ConnectionLimits, Connections } from "#runtime/lib/connections.ts";
import { throttled } from "#runtime/lib/throttled.ts";
import { within } from "#runtime/lib/within.ts";
import type { Logger } from "#runtime/observe/log.ts";

export interface EmulatorServerOptions {
  readonly host: string;
  /** 0 takes any free one. */
  readonly port: number;
  readonly log: Logger;
}

export interface EmulatorServer {
  /** Where this machine reaches it, without a slash at its end. */
  readonly url: string;
  /** Takes no more connections, and resolves when every answer has ended, or has had its time. */
  close(): Promise<void>;
}

export const connectionLimits: ConnectionLimits = { total: 2_000, perAddress: 1_500 };
/** Of answers that are on their way at the close. */
const closeLimitMs = 5_000;

/** @throws CodedError PORT_IN_USE */
export async function serveEmulator(app: Hono, { host, port, log }: EmulatorServerOptions): Promise<EmulatorServer> {
  const server = createServer(getRequestListener(app.fetch, { hostname: host, overrideGlobalObjects: false }));
  const refused = throttled((times) => log.warn({ times }, "connections were refused: too many are open"));
  const connections = new Connections(server, connectionLimits, refused);
  const url = await listen(server, host, port);
  return {
    url,
    async close() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      connections.close();
      await within(closeLimitMs, closed);
      server.closeAllConnections();
      await closed;
    },
  };
}

async function listen(server: Server, host: string, port: number): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  server.once("error", reject);
  server.listen(port, host, resolve);
  try {
    await promise;
  } catch (cause) {
    const message = `The emulator cannot listen on ${host}, port ${port}: choose another with --port (0 takes any free one).`;
    throw new CodedError("PORT_IN_USE", message, { cause });
  }
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("the server listens on no port");
  const name = address.family === "IPv6" ? `[${address.address}]` : address.address;
  return `http://${name === "0.0.0.0" || name === "[::]" ? "127.0.0.1" : name}:${address.port}`;
}
