/** Limit of a timer: a longer one would fire at once. */
const maxTimerMs = 2 ** 31 - 1;

/**
 * Ends waits. A change ends every wait that is under way; one that comes when there is none ends the next wait at once,
 * and that one only, so that a loop that cannot act on it does not spin.
 */
export class ChangeSignal {
  readonly #waits = new Set<() => void>();
  readonly #onWaiting: (isWaiting: boolean) => void;
  #missed = false;
  #closed = false;

  /** @param onWaiting is told when the first wait begins and when the last one has ended */
  constructor(onWaiting: (isWaiting: boolean) => void) {
    this.#onWaiting = onWaiting;
  }

  notify(): void {
    this.#missed = this.#waits.size === 0;
    this.#endAll();
  }

  /** Forgets a change that no wait has heard of. The returned function brings it back. */
  forget(): () => void {
    const missed = this.#missed;
    this.#missed = false;
    return () => {
      this.#missed ||= missed;
    };
  }

  /** Resolves at a change, after `timeoutMs`, when `signal` aborts or at `close`; never rejects. */
  async wait(timeoutMs: number, signal: AbortSignal): Promise<void> {
    const missed = this.#missed;
    this.#missed = false;
    if (missed || this.#closed || signal.aborted) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    const end = () => resolve();
    this.#waits.add(end);
    if (this.#waits.size === 1) this.#onWaiting(true);
    signal.addEventListener("abort", end);
    const timeout = setTimeout(end, Math.min(Math.max(timeoutMs, 0), maxTimerMs));
    await promise;
    clearTimeout(timeout);
    signal.removeEventListener("abort", end);
    if (this.#waits.delete(end) && this.#waits.size === 0) this.#onWaiting(false);
  }

  close(): void {
    this.#closed = true;
    this.#endAll();
  }

  #endAll(): void {
    if (this.#waits.size === 0) return;
    const waits = [...this.#waits];
    this.#waits.clear();
    this.#onWaiting(false);
    for (const end of waits) end();
  }
}
