import type { IncomingMessage, ServerResponse } from "node:http";

/** The first answer of a system that refuses is seen at the second try; later ones are for slow networks. */
const triesAfterMs = [300, 2000];
const laterTriesMs = 10_000;

/**
 * Of an answer that is under way and sends something now and then: after how long a silence it sends something more, by which a
 * client that is gone is found out. Once the client has closed its half of the connection, that is at once, and soon again.
 */
export class SilenceLimit {
  readonly #usualMs: number;
  /** Since the client has closed its half; null before. */
  #tries: number | null = null;
  #end: (() => void) | null = null;

  /** @param over aborts when the answer is complete */
  constructor(usualMs: number, over: AbortSignal, socket: AnsweredSocket | undefined) {
    this.#usualMs = usualMs;
    const onEnd = () => {
      this.#tries = 0;
      this.#end?.();
    };
    socket?.once("end", onEnd);
    over.addEventListener("abort", () => socket?.off("end", onEnd), { once: true });
  }

  /** The promise's value, or undefined when something is to be sent before it is there. */
  async within<T>(promise: Promise<T>): Promise<T | undefined> {
    const { promise: silence, resolve } = Promise.withResolvers<undefined>();
    const end = () => resolve(undefined);
    const timer = setTimeout(end, this.#nextMs());
    if (this.#tries === null) this.#end = end;
    try {
      return await Promise.race([promise, silence]);
    } finally {
      clearTimeout(timer);
      this.#end = null;
    }
  }

  #nextMs(): number {
    if (this.#tries === null) return this.#usualMs;
    return Math.min(this.#usualMs, triesAfterMs[this.#tries++] ?? laterTriesMs);
  }
}

/** The connection of a request. */
export interface AnsweredSocket {
  once(event: "end", listener: () => void): unknown;
  off(event: "end", listener: () => void): unknown;
}

/**
 * A client that has sent all that it will may close its half of the connection and wait; one that is gone looks the same. An
 * interim answer tells them apart: the system of one that is gone refuses it, and the connection breaks at the next.
 */
export function probeHalfClosed(incoming: IncomingMessage, outgoing: ServerResponse): void {
  const { socket, httpVersion } = incoming;
  let timer: NodeJS.Timeout | undefined;
  let tries = 0;
  const probe = () => {
    if (outgoing.headersSent || outgoing.destroyed) return;
    // What speaks an older version knows no interim answers.
    if (httpVersion !== "1.1") return void socket.destroy();
    outgoing.writeProcessing();
    timer = setTimeout(probe, triesAfterMs[tries++] ?? laterTriesMs);
  };
  socket.once("end", probe);
  outgoing.once("close", () => {
    clearTimeout(timer);
    socket.off("end", probe);
  });
}
