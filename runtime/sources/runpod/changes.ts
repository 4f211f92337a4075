import { ChangeSignal } from "../change-signal.ts";
import type { ChangeKind } from "../job-source.ts";

/** What a source of one process notifies its loops of. */
export class Changes {
  readonly jobs: ChangeSignal;
  readonly ends = new ChangeSignal(() => undefined);
  readonly leases = new ChangeSignal(() => undefined);

  /** @param onWaiting whether somebody waits for jobs */
  constructor(onWaiting: (isWaiting: boolean) => void) {
    this.jobs = new ChangeSignal(onWaiting);
  }

  /** Without `what`: for any of them. */
  async wait(timeoutMs: number, signal: AbortSignal, what?: ChangeKind): Promise<void> {
    if (what !== undefined) return this[what].wait(timeoutMs, signal);
    const over = new AbortController();
    const either = AbortSignal.any([signal, over.signal]);
    await Promise.race(this.#all.map((one) => one.wait(timeoutMs, either)));
    over.abort();
  }

  close(): void {
    for (const signal of this.#all) signal.close();
  }

  get #all(): readonly ChangeSignal[] {
    return [this.jobs, this.ends, this.leases];
  }
}
