import type { Server, ServerResponse } from "node:http";
import type { Socket } from "node:net";

/**
 * The open connections of a server, so that closing it waits for answers and for nothing else. Node's
 * `closeIdleConnections` leaves those alone that have not sent a request yet, which browsers and fetch keep in reserve;
 * it also looks once, and connections fall idle one by one.
 */
export class Connections {
  readonly #idle = new Set<Socket>();
  #closing = false;

  constructor(server: Server) {
    server.on("connection", (socket) => {
      this.#becomesIdle(socket);
      socket.once("close", () => this.#idle.delete(socket));
    });
    server.on("request", ({ socket }, response: ServerResponse) => {
      this.#idle.delete(socket);
      response.once("close", () => this.#becomesIdle(socket));
    });
  }

  /** Ends every connection that no answer is on its way on, and each other one after its answer. */
  close(): void {
    this.#closing = true;
    for (const socket of this.#idle) socket.destroySoon();
  }

  #becomesIdle(socket: Socket): void {
    if (socket.destroyed) return;
    this.#idle.add(socket);
    if (this.#closing) socket.destroySoon();
  }
}
