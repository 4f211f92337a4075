/** Reports what many clients can cause at once: calls `report` at most once a minute, with how often it happened since. */
export function throttled(report: (times: number) => void, monotonicMs = () => performance.now()): () => void {
  const everyMs = 60_000;
  let reportedAtMs = Number.NEGATIVE_INFINITY;
  let times = 0;
  return () => {
    times++;
    if (monotonicMs() - reportedAtMs < everyMs) return;
    reportedAtMs = monotonicMs();
    report(times);
    times = 0;
  };
}
