/**
 * Milliseconds since 1970 as the clock on the wall had them when the process started, counted on by one that nobody sets:
 * for pauses within a process. While the machine sleeps it stands still.
 */
export function steadyNowMs(): number {
  return performance.timeOrigin + performance.now();
}
