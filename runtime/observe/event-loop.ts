import type { Logger } from "./log.ts";
import type { Metrics } from "./metrics/metrics.ts";

export interface WatchedLoop {
  readonly metrics: Pick<Metrics, "eventLoopDelaySeconds">;
  readonly log: Logger;
  readonly monotonicMs?: () => number;
}

/** Each sample is a wake-up of a process at rest. */
const everyMs = 20;
/** What is worth a line: leases are not renewed and nothing is answered meanwhile. */
const loggedFromMs = 250;
const logPauseMs = 60_000;

/**
 * Measures how late this process's event loop runs what is due: the time in which something computed on it. Every answer,
 * every lease renewal waits as long. Returns how to stop.
 */
export function watchEventLoop({ metrics, log, monotonicMs = () => performance.now() }: WatchedLoop): () => void {
  let dueAtMs = monotonicMs() + everyMs;
  let loggedAtMs = Number.NEGATIVE_INFINITY;
  const timer = setInterval(() => {
    const nowMs = monotonicMs();
    const delayMs = Math.max(0, nowMs - dueAtMs);
    dueAtMs = nowMs + everyMs;
    metrics.eventLoopDelaySeconds.observe({}, delayMs / 1000);
    if (delayMs < loggedFromMs || nowMs - loggedAtMs < logPauseMs) return;
    loggedAtMs = nowMs;
    log.warn(
      { delay_ms: Math.round(delayMs) },
      "the event loop was blocked: nothing was answered and no lease renewed",
    );
  }, everyMs);
  timer.unref();
  return () => clearInterval(timer);
}
