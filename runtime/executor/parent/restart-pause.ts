const firstPauseMs = 500;
const healthyAfterMs = 60_000;

/** Pause before the restart after `failures` earlier ones without success between: 0.5 s, doubling up to `maxMs`. */
export function restartDelayMs(failures: number, maxMs: number): number {
  return Math.min(maxMs, firstPauseMs * 2 ** Math.min(failures, 20));
}

/**
 * The pauses between the restarts of one process. They grow for a process that cannot start, or dies of itself, so that it
 * does not spin. One that died of a job is started again after the first pause, however often: whose jobs they are waits
 * (runtime/offers/quarantine.ts), and not the others. A job that was run to its end, or a minute in good health, resets them.
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

  /**
   * The process ended by itself: how long until the next start.
   * @param ofJob it ran a job
   */
  failed(nowMs: number, ofJob: boolean): number {
    const wasHealthy = this.#readySinceMs !== null && nowMs - this.#readySinceMs >= healthyAfterMs;
    this.#readySinceMs = null;
    if (wasHealthy || ofJob) this.#failures = 0;
    return restartDelayMs(ofJob ? 0 : this.#failures++, this.#maxMs);
  }

  reset(): void {
    this.#failures = 0;
  }
}
