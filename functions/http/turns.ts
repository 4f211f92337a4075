/**
 * Does what many clients are due at the same moment in turns of the event loop, a few at each: between two, everything else has
 * its own.
 */
export class Turns {
  readonly #perTurn: number;
  readonly #waiting: (() => void)[] = [];

  constructor(perTurn: number) {
    this.#perTurn = perTurn;
  }

  add(task: () => void): void {
    this.#waiting.push(task);
    if (this.#waiting.length === 1) setImmediate(() => this.#run());
  }

  #run(): void {
    for (const task of this.#waiting.splice(0, this.#perTurn)) task();
    if (this.#waiting.length > 0) setImmediate(() => this.#run());
  }
}
