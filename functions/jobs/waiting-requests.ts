/** Requests of this container that wait for a job to end. */
export class WaitingRequests {
  readonly #waiting = new Map<string, number>();

  /** Counts one more for the job; returns the way to leave, which answers whether nobody waits for it any more. */
  join(jobId: string): () => boolean {
    this.#waiting.set(jobId, this.#of(jobId) + 1);
    return () => {
      const left = this.#of(jobId) - 1;
      if (left > 0) this.#waiting.set(jobId, left);
      else this.#waiting.delete(jobId);
      return left <= 0;
    };
  }

  #of(jobId: string): number {
    return this.#waiting.get(jobId) ?? 0;
  }
}

const requestsOf = new WeakMap<object, WaitingRequests>();

/** Those that wait at this queue. */
export function waitingRequests(queue: object): WaitingRequests {
  const known = requestsOf.get(queue) ?? new WaitingRequests();
  requestsOf.set(queue, known);
  return known;
}
