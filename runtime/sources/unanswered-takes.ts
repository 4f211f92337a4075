/** After this time a take that got no answer is not applied any more. */
const maxAgeMs = 60_000;

/**
 * Takes whose answer has not come, by their tickets. Such a take may have leased jobs that nobody here knows of; the
 * next one asks for them. A ticket whose answer came stays for no longer; one that failed stays for a while, because a
 * request that timed out here may still be applied there.
 */
export class UnansweredTakes {
  readonly #monotonicMs: () => number;
  readonly #sentAtMs = new Map<string, number>();

  constructor(monotonicMs: () => number) {
    this.#monotonicMs = monotonicMs;
  }

  add(ticket: string): void {
    this.#sentAtMs.set(ticket, this.#monotonicMs());
  }

  answered(ticket: string): void {
    this.#sentAtMs.delete(ticket);
  }

  tickets(): string[] {
    const nowMs = this.#monotonicMs();
    for (const [ticket, sentAtMs] of this.#sentAtMs) {
      if (nowMs - sentAtMs > maxAgeMs) this.#sentAtMs.delete(ticket);
    }
    return [...this.#sentAtMs.keys()];
  }
}
