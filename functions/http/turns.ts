/**
 * Does what many clients are due at the same moment in turns of the event loop, a few at each: between two, everything else has
 * its own.
 */
export class Turns {
  readonly #perTurn: number;
  readonly #pauseMs: number;
  readonly #waiting: (() => void)[] = [];

  /** @param pauseMs between two turns; 0: the next one of the loop */
  constructor(perTurn: number, pauseMs = 0) {
    this.#perTurn = perTurn;
    this.#pauseMs = pauseMs;
  }

  add(task: () => void): void {
    this.#waiting.push(task);
    if (this.#waiting.length === 1) setImmediate(() => this.#run());
  }

  #next(): void {
    if (this.#pauseMs === 0) setImmediate(() => this.#run());
    else setTimeout(() => this.#run(), this.#pauseMs);
  }

  #run(): void {
    for (const task of this.#waiting.splice(0, this.#perTurn)) task();
    if (this.#waiting.length > 0) this.#next();
  }
}
