/** What many clients can cause at once is not written down each time: calls `tell` at most once a minute, with how often since. */
export function seldom(tell: (times: number) => void, monotonicMs = () => performance.now()): () => void {
  const everyMs = 60_000;
  let toldAtMs = Number.NEGATIVE_INFINITY;
  let times = 0;
  return () => {
    times++;
    if (monotonicMs() - toldAtMs < everyMs) return;
    toldAtMs = monotonicMs();
    tell(times);
    times = 0;
  };
}
