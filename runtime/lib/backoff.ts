/**
 * How long a failed attempt waits before the next: `baseSeconds` doubled with each attempt, at most `maxSeconds`, of
 * which the upper half is random ("equal jitter"). Jobs that failed together then do not come back together, and no
 * retry comes sooner than half the pause that was meant.
 *
 * @param attempt the one that failed, counted from 1
 * @param random returns a number from 0 up to 1
 */
export function retryDelaySeconds(
  attempt: number,
  baseSeconds: number,
  maxSeconds: number,
  random: () => number = Math.random,
): number {
  // Bounded, because a base of zero times Infinity would be no number.
  const doublings = Math.min(attempt - 1, 64);
  const pauseSeconds = Math.min(baseSeconds * 2 ** doublings, maxSeconds);
  return pauseSeconds * (0.5 + random() / 2);
}
