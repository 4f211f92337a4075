import type { IncomingMessage, Server, ServerResponse } from "node:http";
import type { Socket } from "node:net";

export interface ConnectionLimits {
  readonly total: number;
  /** One address may be a proxy, behind which are many clients. */
  readonly perAddress: number;
}

interface Connection {
  readonly address: string;
  /** Requests whose answers have not ended. */
  requests: number;
}

/**
 * The open connections of a server: bounded in all and for each address, and ended at its close. What one of them is doing
 * decides which go when there are too many, so that a client which holds connections without using them keeps nobody out:
 *
 *   waiting   for the client: it has sent nothing yet, half a head, half a body, or nothing since its last answer
 *   busy      a whole request is there, and its answer has not ended
 *
 * A new connection takes the place of the one that has waited longest: of its own address first, since who opens too many
 * is to lose them, else of any. Where all are busy, the new one is refused.
 */
export class Connections {
  readonly #limits: ConnectionLimits;
  readonly #onRefused: () => void;
  readonly #open = new Map<Socket, Connection>();
  /** By address; the one that has waited longest comes first. */
  readonly #waiting = new Map<string, Set<Socket>>();
  readonly #countOf = new Map<string, number>();
  #closing = false;

  /** @param onRefused called for each connection that is refused, or that had to go for another */
  constructor(server: Server, limits: ConnectionLimits, onRefused: () => void) {
    this.#limits = limits;
    this.#onRefused = onRefused;
    // Refuses by itself what comes faster than places become free.
    server.maxConnections = limits.total + 64;
    server.on("drop", onRefused);
    server.on("connection", (socket) => this.#begin(socket));
    server.on("request", (request, response) => this.#beginRequest(request, response));
  }

  get size(): number {
    return this.#open.size;
  }

  /** Ends every connection that no answer is on its way on, and each other one after its answer. */
  close(): void {
    this.#closing = true;
    for (const [socket, { requests }] of this.#open) if (requests === 0) socket.destroySoon();
  }

  #begin(socket: Socket): void {
    const address = socket.remoteAddress ?? "";
    this.#open.set(socket, { address, requests: 0 });
    this.#countOf.set(address, (this.#countOf.get(address) ?? 0) + 1);
    socket.once("close", () => this.#forget(socket));
    if (!this.#hasPlace(address)) {
      this.#onRefused();
      const longest = this.#longestWaiting(address);
      this.#end(longest ?? socket);
      if (longest === undefined) return;
    }
    this.#setWaiting(socket, true);
    if (this.#closing) socket.destroySoon();
  }

  #hasPlace(address: string): boolean {
    const { total, perAddress } = this.#limits;
    return this.#open.size <= total && (this.#countOf.get(address) ?? 0) <= perAddress;
  }

  #longestWaiting(address: string): Socket | undefined {
    const [own] = this.#waiting.get(address) ?? [];
    // Another address has no part in what this one has too many of.
    if (own !== undefined || (this.#countOf.get(address) ?? 0) > this.#limits.perAddress) return own;
    for (const [other] of this.#waiting.values()) if (other !== undefined) return other;
    return undefined;
  }

  #beginRequest(request: IncomingMessage, response: ServerResponse): void {
    const { socket } = request;
    const connection = this.#open.get(socket);
    if (connection === undefined) return;
    connection.requests++;
    if (hasBody(request)) request.once("end", () => this.#setWaiting(socket, connection.requests === 0));
    else this.#setWaiting(socket, false);
    response.once("close", () => {
      connection.requests--;
      if (connection.requests > 0) return;
      this.#setWaiting(socket, true);
      if (this.#closing) socket.destroySoon();
    });
  }

  #setWaiting(socket: Socket, isWaiting: boolean): void {
    const address = this.#open.get(socket)?.address;
    if (address === undefined) return;
    const waiting = this.#waiting.get(address) ?? new Set();
    waiting.delete(socket);
    if (isWaiting && !socket.destroyed) waiting.add(socket);
    if (waiting.size > 0) this.#waiting.set(address, waiting);
    else this.#waiting.delete(address);
  }

  #end(socket: Socket): void {
    this.#forget(socket);
    socket.destroy();
  }

  #forget(socket: Socket): void {
    const address = this.#open.get(socket)?.address;
    if (address === undefined) return;
    this.#setWaiting(socket, false);
    this.#open.delete(socket);
    const count = (this.#countOf.get(address) ?? 1) - 1;
    if (count > 0) this.#countOf.set(address, count);
    else this.#countOf.delete(address);
  }
}

/** As HTTP says it (RFC 9112, section 6.3). */
export function hasBody({ headers }: Pick<IncomingMessage, "headers">): boolean {
  return headers["transfer-encoding"] !== undefined || Number(headers["content-length"] ?? 0) > 0;
}
