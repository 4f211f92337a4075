/**
 * Jobs that an earlier process of this container has worked off, and whose results wait in its outbox for being posted. They
 * are this container's until then, as long as their leases are renewed: pinged, and not run again.
 */
export class EarlierJobs {
  readonly #keptMs: number;
  readonly #monotonicMs: () => number;
  readonly #onLapse: () => void;
  /** By RunPod's id: when it was renewed last, the oldest first. */
  readonly #renewed = new Map<string, number>();
  #timer: NodeJS.Timeout | null = null;

  /** @param onLapse called when the time of some is over */
  constructor(leaseSeconds: number, monotonicMs: () => number, onLapse: () => void) {
    this.#keptMs = leaseSeconds * 1000;
    this.#monotonicMs = monotonicMs;
    this.#onLapse = onLapse;
  }

  renewed(runpodId: string): void {
    this.#renewed.delete(runpodId);
    this.#renewed.set(runpodId, this.#monotonicMs());
    this.#lookAgain();
  }

  ended(runpodId: string): boolean {
    return this.#renewed.delete(runpodId);
  }

  get ids(): readonly string[] {
    const sinceMs = this.#monotonicMs() - this.#keptMs;
    return [...this.#renewed].flatMap(([id, atMs]) => (atMs >= sinceMs ? [id] : []));
  }

  /** When the next one's time is over: nobody else asks then. */
  #lookAgain(): void {
    const [oldestMs] = this.#renewed.values();
    if (this.#timer !== null || oldestMs === undefined) return;
    const inMs = oldestMs + this.#keptMs - this.#monotonicMs();
    this.#timer = setTimeout(this.#onTimer, Math.max(0, inMs) + 1).unref();
  }

  readonly #onTimer = (): void => {
    this.#timer = null;
    const kept = new Set(this.ids);
    const lapsed = [...this.#renewed.keys()].filter((id) => !kept.has(id));
    for (const id of lapsed) this.#renewed.delete(id);
    if (lapsed.length > 0) this.#onLapse();
    this.#lookAgain();
  };
}
