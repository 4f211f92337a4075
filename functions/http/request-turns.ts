import type { IncomingMessage, Server, ServerResponse } from "node:http";

/** Each request is a millisecond or two until it first waits for something. */
const perTurn = 8;
/** How long requests stand back for connections that are still being taken; then one begins beside each connection. */
const maxWaitMs = 500;

/** Who watches the container asks for these: they stand behind nobody else's requests. */
const watched = /^\/(?:health|ready)(?:\?|$)/;

interface Waiting {
  readonly sinceMs: number;
  readonly begin: () => void;
}

/**
 * Lets requests begin in turns of the event loop. A server takes one connection in each turn: while a thousand clients
 * connect, whoever comes after them waits for a thousand turns. So as long as connections come one after the other, the
 * turns are kept short and the requests wait; afterwards a few begin in each.
 *
 *   quiet ──connections in two turns running──► crowded ──a turn without one──► quiet
 *
 * In quiet, with nobody waiting, a request begins at once.
 */
export class RequestTurns {
  readonly #waiting: Waiting[] = [];
  /** Whether a connection has been taken in this turn, and in the one before. */
  #taken = false;
  #takenBefore = false;
  #isTurning = false;

  /** Watches the server's connections; before its first one. */
  constructor(server: Server) {
    server.on("connection", () => {
      this.#taken = true;
      this.#turn();
    });
  }

  /** Calls back now, or in a later turn; not at all when the client has gone by then. */
  begin({ url = "" }: IncomingMessage, response: ServerResponse, listener: () => void): void {
    const isCrowded = this.#taken && this.#takenBefore;
    if (watched.test(url) || (this.#waiting.length === 0 && !isCrowded)) {
      listener();
      return;
    }
    const begin = () => {
      if (!response.destroyed) listener();
    };
    this.#waiting.push({ sinceMs: performance.now(), begin });
    this.#turn();
  }

  #turn(): void {
    if (this.#isTurning) return;
    this.#isTurning = true;
    setImmediate(() => this.#endTurn());
  }

  #endTurn(): void {
    this.#isTurning = false;
    const isCrowded = this.#taken && this.#takenBefore;
    this.#takenBefore = this.#taken;
    this.#taken = false;
    for (const { begin } of this.#waiting.splice(0, this.#due(isCrowded))) begin();
    if (this.#takenBefore || this.#waiting.length > 0) this.#turn();
  }

  #due(isCrowded: boolean): number {
    if (!isCrowded) return perTurn;
    const [first] = this.#waiting;
    return first !== undefined && performance.now() - first.sinceMs >= maxWaitMs ? 1 : 0;
  }
}
