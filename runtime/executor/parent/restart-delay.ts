/** Pause before the restart after `failures` earlier ones without a healthy minute between: 0.5 s, doubling up to `maxMs`. */
export function restartDelayMs(failures: number, maxMs: number): number {
  return Math.min(maxMs, 500 * 2 ** Math.min(failures, 20));
}
