/**
 * The server's time as it is known here: what an answer had, and how long ago that was. This container's own clock,
 * which may be wrong, has no part in it. The estimate is never ahead of the server, because an answer is older than its
 * arrival; so a lease that is renewed by it ends early rather than late.
 */
export class ServerClock {
  readonly #monotonicMs: () => number;
  #offsetMs: number | undefined;

  constructor(monotonicMs: () => number) {
    this.#monotonicMs = monotonicMs;
  }

  /** By an answer that has just come the server's time is `nowMs`. */
  hear(nowMs: number): void {
    this.#offsetMs = nowMs - this.#monotonicMs();
  }

  /** Undefined until the first answer. */
  nowMs(): number | undefined {
    return this.#offsetMs === undefined ? undefined : Math.floor(this.#offsetMs + this.#monotonicMs());
  }
}
