import type { Pinger } from "./pinger.ts";

/** RunPod's ids of all jobs that are this container's matter, until their ends are posted: it is pinged with them. */
export class PresentJobs {
  readonly #pinger: Pinger | null;
  readonly #idsOf: () => readonly string[];

  /** @param idsOf of every part that has some; an id may come twice */
  constructor(pinger: Pinger | null, idsOf: () => readonly string[]) {
    this.#pinger = pinger;
    this.#idsOf = idsOf;
  }

  get ids(): readonly string[] {
    return [...new Set(this.#idsOf())];
  }

  /** They are others now. */
  changed(): void {
    this.#pinger?.set(this.ids);
  }

  async close(): Promise<void> {
    await this.#pinger?.close();
  }
}
