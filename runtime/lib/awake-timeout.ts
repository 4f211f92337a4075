const sliceMs = 5000;
/** A busy process is late too; what is later than this was stopped, or slept. */
const lateMaxMs = 1000;

/**
 * As `setTimeout`, but counts only the time in which this process could run: one that was stopped (SIGSTOP, `docker pause`)
 * has not used the time of what it does. Returns the way to clear it.
 */
export function awakeTimeout(timeoutMs: number, onTimeout: () => void, nowMs = () => performance.now()): () => void {
  let leftMs = timeoutMs;
  let timer: NodeJS.Timeout;
  const next = () => {
    const startedAtMs = nowMs();
    const waitMs = Math.min(leftMs, sliceMs);
    timer = setTimeout(() => {
      leftMs -= Math.min(nowMs() - startedAtMs, waitMs + lateMaxMs);
      if (leftMs > 0) next();
      else onTimeout();
    }, waitMs);
  };
  next();
  return () => clearTimeout(timer);
}
