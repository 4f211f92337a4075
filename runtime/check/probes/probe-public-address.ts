import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { createServer, type Server } from "node:http";
import { CodedError } from "#contract/errors.ts";
import { checkPublicAddress } from "#runtime/heartbeat/self-check.ts";
import { boundedRequest } from "#runtime/lib/bounded-request.ts";

const limitMs = 15_000;

/**
 * Listens where the container will, and requests from the public address an answer that only this process can give. Where a
 * container is running already, that one has to answer.
 *
 * @throws CodedError REGISTRATION_FAILED
 */
export async function probePublicAddress(url: string, listen: { host: string; port: number }): Promise<string> {
  const mark = randomUUID();
  const server = await serve(mark, listen);
  if (server === null) {
    await checkPublicAddress(url, AbortSignal.timeout(limitMs), limitMs);
    return `a container answers at ${url}`;
  }
  try {
    if ((await request(`${url}/health`)).includes(mark)) return `${url} leads to port ${listen.port} of this machine`;
    throw new CodedError(
      "REGISTRATION_FAILED",
      `${url} answers, but it is not this machine's port ${listen.port}: expose that port, or correct PUBLIC_URL or PORT.`,
    );
  } finally {
    server.closeAllConnections();
    server.close();
  }
}

async function request(url: string): Promise<string> {
  const signal = AbortSignal.timeout(limitMs);
  try {
    return (await boundedRequest({ method: "GET", url, headers: {}, signal, idleMs: limitMs, limitMs })).text;
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new CodedError(
      "REGISTRATION_FAILED",
      `${url} cannot be reached: ${why}. Expose the container's port, or correct PUBLIC_URL.`,
      { cause },
    );
  }
}

/** Null when the port is taken, presumably by a container. */
async function serve(mark: string, { host, port }: { host: string; port: number }): Promise<Server | null> {
  const server = createServer((_request, response) => {
    response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify({ status: "starting", mark }));
  });
  server.listen({ host, port });
  try {
    await once(server, "listening");
    return server;
  } catch {
    return null;
  }
}
