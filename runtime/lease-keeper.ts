import { setTimeout as pause } from "node:timers/promises";
import type { Logger } from "./log.ts";
import type { JobSource, LeaseKey } from "./source/job-source.ts";

/*
 * Keeps the leases of one source alive: those of running jobs and those of finished ones that still have to be
 * delivered. One call renews them all, at a third of the lease time, and at once when the source says that something
 * changed, which is how a cancel reaches a running job without waiting for the next renewal.
 */
export interface LeaseHolder {
  /** 0 to 1, null when nothing is known. */
  progress(): number | null;
  /** Somebody asked to cancel the job. May be called more than once. */
  onCancel(): void;
  /** Another container has the job, or may have it: stop, deliver nothing. */
  onLost(): void;
}

interface Held {
  readonly lease: LeaseKey;
  readonly holder: LeaseHolder;
}

const minimumGapMs = 50;

export class LeaseKeeper {
  readonly #source: JobSource;
  readonly #log: Logger;
  readonly #held = new Map<string, Held>();
  #running = false;
  readonly #closing = new AbortController();

  constructor(source: JobSource, log: Logger) {
    this.#source = source;
    this.#log = log.child({ source: source.name });
  }

  /** Renews the lease until the returned function is called. */
  hold(lease: LeaseKey, holder: LeaseHolder): () => void {
    const held = { lease, holder };
    this.#held.set(lease.token, held);
    if (!this.#running) void this.#loop();
    // A later holder of the same lease (the delivery takes over from the run) is not let go by the earlier one's end.
    return () => {
      if (this.#held.get(lease.token) === held) this.#held.delete(lease.token);
    };
  }

  close(): void {
    this.#closing.abort();
    this.#held.clear();
  }

  async #loop(): Promise<void> {
    this.#running = true;
    const renewEveryMs = (this.#source.leaseSeconds * 1000) / 3;
    const { signal } = this.#closing;
    while (this.#held.size > 0 && !signal.aborted) {
      await this.#source.waitForChange(renewEveryMs, signal, "leases");
      if (!signal.aborted && this.#held.size > 0) await this.#renew();
      await pause(minimumGapMs, undefined, { signal }).catch(() => undefined);
    }
    this.#running = false;
  }

  async #renew(): Promise<void> {
    const held = [...this.#held.values()];
    try {
      const outcomes = await this.#source.renew(
        held.map(({ lease, holder }) => {
          const progress = holder.progress();
          return progress === null ? { lease } : { lease, progress };
        }),
      );
      for (const [index, one] of held.entries()) this.#apply(one, outcomes[index]);
    } catch (error) {
      // A lease outlives two failed renewals; if the source stays away longer, the next answer will be "lost".
      this.#log.warn({ error, leases: held.length }, "leases could not be renewed; trying again");
    }
  }

  #apply({ lease, holder }: Held, outcome: string | undefined): void {
    if (!this.#held.has(lease.token)) return;
    if (outcome === "cancelled") holder.onCancel();
    if (outcome === "lost") {
      this.#held.delete(lease.token);
      this.#log.warn({ job_id: lease.jobId, attempt: lease.attempt }, "the lease is lost: another worker has the job");
      holder.onLost();
    }
  }
}
