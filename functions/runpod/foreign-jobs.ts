/*
 * What containers name in their pings that is not theirs: they work in vain on what has ended, or what others have been given. Once
 * it may be an end or a take that is on its way; who names it again is to stop.
 */
export class ForeignJobs {
  /** By container. */
  readonly #named = new Map<string, ReadonlySet<string>>();

  /**
   * @param key the container
   * @param foreign what it names now
   * @returns what of that it has named before too
   */
  named(key: string, foreign: readonly string[]): readonly string[] {
    const before = this.#named.get(key);
    if (foreign.length === 0) this.#named.delete(key);
    else this.#named.set(key, new Set(foreign));
    return foreign.filter((id) => before?.has(id));
  }

  /** Forgets containers that are gone. */
  keepOnly(isKnown: (key: string) => boolean): void {
    for (const key of this.#named.keys()) if (!isKnown(key)) this.#named.delete(key);
  }
}
