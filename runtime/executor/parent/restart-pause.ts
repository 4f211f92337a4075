const firstPauseMs = 500;
const healthyAfterMs = 60_000;

/** Pause before the restart after `failures` earlier ones without a healthy minute between: 0.5 s, doubling up to `maxMs`. */
export function restartDelayMs(failures: number, maxMs: number): number {
  return Math.min(maxMs, firstPauseMs * 2 ** Math.min(failures, 20));
}

/**
 * The pauses between the restarts of one process. They go back to the first value only after a minute in good health, so
 * that a child that dies at every start, or at every job, does not spin.
 */
export class RestartPause {
  readonly #maxMs: number;
  #failures = 0;
  #readySinceMs: number | null = null;

  constructor(maxMs: number) {
    this.#maxMs = maxMs;
  }

  ready(nowMs: number): void {
    this.#readySinceMs = nowMs;
  }

  /** The process ended by itself: how long until the next start. */
  failed(nowMs: number): number {
    if (this.#readySinceMs !== null && nowMs - this.#readySinceMs >= healthyAfterMs) this.#failures = 0;
    this.#readySinceMs = null;
    return restartDelayMs(this.#failures++, this.#maxMs);
  }

  reset(): void {
    this.#failures = 0;
  }
}
