import { once } from "node:events";
import { createServer as createHttpServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { createServer as createHttpsServer } from "node:https";
import { connect } from "node:net";
import { makeCertificate } from "#test/support/certificate.ts";
import type { Network } from "../network.ts";

export type Site = (request: IncomingMessage, response: ServerResponse) => void;

/*
 * A small internet on loopback: names that resolve to public addresses, and behind all addresses one real HTTPS server
 * (port 443) and one real HTTP server (any other port), which tell the sites apart by the Host header.
 */
export interface TestInternet {
  readonly network: Network;
  /** What each name resolves to, one answer after the other; the last one stays. */
  readonly names: Map<string, (readonly string[])[]>;
  /** By host, with the port where it is not the usual one. */
  readonly sites: Map<string, Site>;
  /** Addresses to which a connection was opened. */
  readonly connections: string[];
  /** Hosts and paths that were requested. */
  readonly requests: string[];
  readonly httpPort: number;
  close(): Promise<void>;
}

export const publicAddress = "93.184.216.34";

export async function startInternet(): Promise<TestInternet> {
  const { cert, key } = await makeCertificate(["*.example.test", publicAddress]);
  const names: TestInternet["names"] = new Map();
  const sites: TestInternet["sites"] = new Map();
  const requests: string[] = [];
  const connections: string[] = [];
  const answer: Site = (request, response) => {
    requests.push(`${request.headers.host}${request.url}`);
    const site = sites.get(request.headers.host ?? "");
    if (site === undefined) response.writeHead(404).end();
    else site(request, response);
  };
  const secure = createHttpsServer({ cert, key }, answer);
  const plain = createHttpServer(answer);
  const [securePort, httpPort] = [await listen(secure), await listen(plain)];
  return {
    names,
    sites,
    connections,
    requests,
    httpPort,
    network: {
      certificates: cert,
      async resolve(hostname) {
        const answers = names.get(hostname) ?? [];
        const found = answers.length > 1 ? answers.shift() : answers[0];
        if (found === undefined)
          throw Object.assign(new Error(`getaddrinfo ENOTFOUND ${hostname}`), { code: "ENOTFOUND" });
        return found;
      },
      connect(addresses, port) {
        connections.push(addresses.join(","));
        return connect({ host: "127.0.0.1", port: port === 443 ? securePort : httpPort });
      },
    },
    async close() {
      for (const server of [secure, plain]) {
        server.closeAllConnections();
        server.close();
        await once(server, "close");
      }
    },
  };
}

async function listen(server: Server): Promise<number> {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("the server has no port");
  return address.port;
}
