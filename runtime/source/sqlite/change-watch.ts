/** Longest time that a timer can be set to; more would fire at once. */
const longestTimerMs = 2 ** 31 - 1;

/** Pause after a poll that failed. */
const afterErrorMs = 1000;

/** Milliseconds until it is to be asked again; 0 when something changed elsewhere, once for each change. */
export type ChangePoll = () => number;

/**
 * Waits for a change: made in this process (`notify`, at once) or elsewhere (polled). A change between two waits is not
 * lost, it ends the next wait at once; each change ends one wait only, so that a loop that cannot act on it does
 * not spin. Made for one waiting loop.
 */
export class ChangeWatch {
  readonly #poll: ChangePoll;
  readonly #waits = new Set<() => void>();
  #notified = false;
  #closed = false;

  constructor(poll: ChangePoll) {
    this.#poll = poll;
  }

  notify(): void {
    this.#notified = true;
    for (const end of this.#waits) end();
  }

  /** Resolves at a change, after `timeoutMs`, when `signal` aborts or at `close`; never rejects. */
  wait(timeoutMs: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      let poll: NodeJS.Timeout | undefined;
      const end = () => {
        clearTimeout(poll);
        clearTimeout(timeout);
        signal.removeEventListener("abort", end);
        this.#waits.delete(end);
        this.#notified = false;
        resolve();
      };
      const check = () => {
        const nextMs = this.#closed || signal.aborted || this.#notified ? 0 : this.#pollSafely();
        if (nextMs > 0) poll = setTimeout(check, nextMs);
        else end();
      };
      const timeout = setTimeout(end, Math.min(Math.max(timeoutMs, 0), longestTimerMs));
      signal.addEventListener("abort", end);
      this.#waits.add(end);
      check();
    });
  }

  close(): void {
    this.#closed = true;
    for (const end of this.#waits) end();
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
