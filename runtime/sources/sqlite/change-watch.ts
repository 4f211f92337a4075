/** Limit of a timer: a longer one would fire at once. */
const maxTimerMs = 2 ** 31 - 1;

/** Pause after a poll that failed. */
const afterErrorMs = 1000;

/** Milliseconds until it is to be polled again; 0 when something changed elsewhere, once for each change. */
export type ChangePoll = () => number;

/**
 * Waits for a change: made in this process (`notify`, at once) or elsewhere (polled). A change ends every wait that is
 * under way; one that comes when there is none ends the next wait at once, and that one only, so that a loop that
 * cannot act on it does not spin.
 */
export class ChangeWatch {
  readonly #poll: ChangePoll;
  readonly #waits = new Set<() => void>();
  #timer: NodeJS.Timeout | undefined;
  #missed = false;
  #closed = false;

  constructor(poll: ChangePoll) {
    this.#poll = poll;
  }

  notify(): void {
    this.#missed = this.#waits.size === 0;
    this.#endAll();
  }

  /** Resolves at a change, after `timeoutMs`, when `signal` aborts or at `close`; never rejects. */
  async wait(timeoutMs: number, signal: AbortSignal): Promise<void> {
    const missed = this.#missed;
    this.#missed = false;
    if (missed || this.#closed || signal.aborted) return;

    const { promise, resolve } = Promise.withResolvers<void>();
    const end = () => resolve();
    this.#waits.add(end);
    signal.addEventListener("abort", end);
    const timeout = setTimeout(end, Math.min(Math.max(timeoutMs, 0), maxTimerMs));
    if (this.#timer === undefined) this.#pollUntilChange();
    await promise;
    clearTimeout(timeout);
    signal.removeEventListener("abort", end);
    this.#waits.delete(end);
    if (this.#waits.size === 0) this.#stopPolling();
  }

  close(): void {
    this.#closed = true;
    this.#endAll();
  }

  #endAll(): void {
    const waits = [...this.#waits];
    this.#waits.clear();
    this.#stopPolling();
    for (const end of waits) end();
  }

  /** One timer for all waits: a change that one poll has found would not be found by another. */
  #pollUntilChange(): void {
    const nextMs = this.#pollSafely();
    if (nextMs > 0) this.#timer = setTimeout(() => this.#pollUntilChange(), nextMs);
    else this.notify();
  }

  #stopPolling(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  /** What is wrong with the storage is reported by the calls that use it; a wait that ended at it would spin. */
  #pollSafely(): number {
    try {
      return this.#poll();
    } catch {
      return afterErrorMs;
    }
  }
}
