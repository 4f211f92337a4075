/** The leases that were taken here and not settled, and which of them are known to have been cancelled. */
export class HeldLeases {
  readonly #cancelKnown = new Map<string, boolean>();

  hold(token: string): void {
    this.#cancelKnown.set(token, false);
  }

  letGo(token: string): void {
    this.#cancelKnown.delete(token);
  }

  /** Its holder is notified: it does not end another wait. */
  cancelKnown(token: string): void {
    if (this.#cancelKnown.has(token)) this.#cancelKnown.set(token, true);
  }

  has(token: string): boolean {
    return this.#cancelKnown.has(token);
  }

  tokens(): string[] {
    return [...this.#cancelKnown.keys()];
  }

  /** Those of which nothing is known but that they are held. */
  unchanged(): string[] {
    return [...this.#cancelKnown].filter(([, isKnown]) => !isKnown).map(([token]) => token);
  }
}
