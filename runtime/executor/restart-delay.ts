/** Pause before the restart after `failures` earlier ones without a healthy minute between: 0.5 s, doubling to 60 s. */
export function restartDelayMs(failures: number): number {
  return Math.min(60_000, 500 * 2 ** Math.min(failures, 10));
}
