import type { UnreportedEnd } from "../job-source.ts";

/** Ends that nobody has reported yet: each is answered once, and again when it was not reported within a lease time. */
export class UnreportedEnds {
  readonly #againAfterMs: number;
  readonly #monotonicMs: () => number;
  readonly #ends = new Map<string, { readonly end: UnreportedEnd; answeredAtMs: number }>();

  constructor(leaseSeconds: number, monotonicMs: () => number) {
    this.#againAfterMs = leaseSeconds * 1000;
    this.#monotonicMs = monotonicMs;
  }

  /** @param isAnswered for one whose caller gets it as the answer of its own call */
  add(end: UnreportedEnd, { isAnswered = false } = {}): void {
    this.#ends.set(end.jobId, { end, answeredAtMs: isAnswered ? this.#monotonicMs() : Number.NEGATIVE_INFINITY });
  }

  due(): readonly UnreportedEnd[] {
    const nowMs = this.#monotonicMs();
    const due = [...this.#ends.values()].filter(({ answeredAtMs }) => nowMs - answeredAtMs > this.#againAfterMs);
    for (const one of due) one.answeredAtMs = nowMs;
    return due.map(({ end }) => end);
  }

  reported(ends: readonly Pick<UnreportedEnd, "jobId">[]): void {
    for (const { jobId } of ends) this.#ends.delete(jobId);
  }
}
