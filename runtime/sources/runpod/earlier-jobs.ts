/**
 * Jobs that an earlier process of this container has worked off, and whose results wait in its outbox for being posted. They
 * are this container's until then, as long as their leases are renewed: pinged, and not run again.
 */
export class EarlierJobs {
  readonly #keptMs: number;
  readonly #monotonicMs: () => number;
  /** By RunPod's id: when it was renewed last. */
  readonly #renewed = new Map<string, number>();

  constructor(leaseSeconds: number, monotonicMs: () => number) {
    this.#keptMs = leaseSeconds * 1000;
    this.#monotonicMs = monotonicMs;
  }

  renewed(runpodId: string): void {
    this.#renewed.set(runpodId, this.#monotonicMs());
  }

  ended(runpodId: string): boolean {
    return this.#renewed.delete(runpodId);
  }

  get ids(): readonly string[] {
    const sinceMs = this.#monotonicMs() - this.#keptMs;
    return [...this.#renewed].flatMap(([id, atMs]) => (atMs >= sinceMs ? [id] : []));
  }
}
