/** Which jobs each container is to stop, by `keyOf`, until it has fetched them. */
export class Stops {
  readonly #ids = new Map<string, Set<string>>();
  readonly #waits = new Set<() => void>();

  /** Containers that have something to stop. */
  get size(): number {
    return this.#ids.size;
  }

  add(key: string, requestId: string): void {
    this.#ids.set(key, (this.#ids.get(key) ?? new Set()).add(requestId));
    for (const end of this.#waits) end();
  }

  /** The container has been given the job anew. */
  withdraw(key: string, requestId: string): void {
    const ids = this.#ids.get(key);
    ids?.delete(requestId);
    if (ids?.size === 0) this.#ids.delete(key);
  }

  /** Ids for the container, as soon as there are some; none when the signal aborts. */
  async fetch(key: string, signal: AbortSignal): Promise<readonly string[]> {
    while (!this.#ids.has(key) && !signal.aborted) {
      const { promise, resolve } = Promise.withResolvers<void>();
      const end = () => resolve();
      this.#waits.add(end);
      signal.addEventListener("abort", end);
      await promise;
      signal.removeEventListener("abort", end);
      this.#waits.delete(end);
    }
    if (signal.aborted) return [];
    const ids = [...(this.#ids.get(key) ?? [])];
    this.#ids.delete(key);
    return ids;
  }

  /** Forgets what containers that are gone were to stop. */
  keepOnly(isKnown: (key: string) => boolean): void {
    for (const key of this.#ids.keys()) if (!isKnown(key)) this.#ids.delete(key);
  }
}
