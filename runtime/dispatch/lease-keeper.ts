import { setTimeout as pause } from "node:timers/promises";
import type { Logger } from "#runtime/observe/log.ts";
import type { Metrics } from "#runtime/observe/metrics/metrics.ts";
import { recordFailure } from "#runtime/observe/metrics/ports.ts";
import type { JobSource, LeaseKey } from "#runtime/sources/job-source.ts";

/*
 * Keeps the leases of one source alive: those of running jobs and those of finished ones that still have to be
 * delivered. One call renews them all, at a third of the lease time, and at once when the source reports that something
 * changed, which is how a cancel reaches a running job without waiting for the next renewal.
 */
export interface LeaseHolder {
  /** 0 to 1, null when nothing is known. */
  progress(): number | null;
  /** A cancel of the job was requested. May be called more than once. */
  onCancel(): void;
  /** Another container has the job, or may have it: stop, deliver nothing. */
  onLost(): void;
}

interface Held {
  readonly lease: LeaseKey;
  readonly holder: LeaseHolder;
  /** When the source last confirmed that the lease is held, on the process's own clock; -Infinity when it never did here. */
  confirmedAtMs: number;
  isForgotten: boolean;
  /** Its holder needs it no more. */
  isReleased: boolean;
}

const minimumGapMs = 50;
const warnAfterMs = 1000;

export class LeaseKeeper {
  readonly #source: JobSource;
  readonly #log: Logger;
  readonly #metrics: Metrics;
  readonly #held = new Map<string, Held>();
  #running = false;
  readonly #closing = new AbortController();

  constructor(source: JobSource, log: Logger, metrics: Metrics) {
    this.#source = source;
    this.#metrics = metrics;
    metrics.leasesLost.add({ source: source.name }, 0);
    this.#log = log.child({ source: source.name });
  }

  /**
   * Renews the lease until the returned function is called.
   * @param takenAtMs when the source was asked for it, on the process's own clock: it may have waited since
   */
  hold(lease: LeaseKey, holder: LeaseHolder, { takenAtMs }: { readonly takenAtMs?: number } = {}): () => void {
    const known = this.#held.get(lease.token)?.confirmedAtMs ?? Number.NEGATIVE_INFINITY;
    const held: Held = {
      lease,
      holder,
      confirmedAtMs: takenAtMs ?? known,
      isForgotten: false,
      isReleased: false,
    };
    this.#held.set(lease.token, held);
    if (!this.#running) void this.#loop();
    // A later holder of the same lease (the delivery takes over from the run) is not let go by the earlier one's end.
    return () => {
      held.isReleased = true;
      if (this.#held.get(lease.token) === held) this.#held.delete(lease.token);
    };
  }

  /** True when the lease was confirmed within the last third of its time: it cannot have run out. */
  isFresh(lease: LeaseKey): boolean {
    const held = this.#held.get(lease.token);
    return held !== undefined && performance.now() - held.confirmedAtMs < this.#renewEveryMs;
  }

  close(): void {
    this.#closing.abort();
    this.#held.clear();
  }

  get #renewEveryMs(): number {
    return (this.#source.leaseSeconds * 1000) / 3;
  }

  async #loop(): Promise<void> {
    this.#running = true;
    const { signal } = this.#closing;
    while (this.#held.size > 0 && !signal.aborted) {
      await this.#source.waitForChange(this.#renewEveryMs, signal, "leases");
      if (!signal.aborted && this.#held.size > 0) await this.#renew();
      await pause(minimumGapMs, undefined, { signal }).catch(() => undefined);
    }
    this.#running = false;
  }

  async #renew(): Promise<void> {
    const held = [...this.#held.values()];
    const requestedAtMs = performance.now();
    try {
      const outcomes = await this.#source.renew(
        held.map(({ lease, holder }) => {
          const progress = holder.progress();
          return progress === null ? { lease } : { lease, progress };
        }),
      );
      for (const [index, one] of held.entries()) this.#apply(one, outcomes[index], requestedAtMs);
    } catch (error) {
      // A lease outlives two failed renewals; if the source stays away longer, the next answer will be "lost".
      recordFailure(this.#metrics, "source", error);
      this.#log.warn({ error, leases: held.length }, "leases could not be renewed; trying again");
    }
  }

  /** A job that was settled while its lease was being renewed has lost nothing: its holder is through in a moment. */
  #warnUnlessReleased(held: Held): void {
    const { jobId: job_id, attempt } = held.lease;
    setTimeout(() => {
      if (held.isReleased) return;
      this.#log.warn({ job_id, attempt }, "the lease is gone: the job is settled, or another container has it");
    }, warnAfterMs).unref();
  }

  #apply(held: Held, outcome: string | undefined, requestedAtMs: number): void {
    const { lease, holder } = held;
    if (!this.#held.has(lease.token)) return;
    // What the source has forgotten it confirms no more: whether its result is delivered is looked at anew.
    if (outcome === "held" || outcome === "cancelled") held.confirmedAtMs = requestedAtMs;
    if (outcome === "unknown") held.confirmedAtMs = Number.NEGATIVE_INFINITY;
    if (outcome === "cancelled") holder.onCancel();
    if (outcome === "unknown" && !held.isForgotten) {
      this.#log.warn(
        { job_id: lease.jobId, attempt: lease.attempt },
        "the source has forgotten the job: it goes on, and its result will be delivered",
      );
    }
    held.isForgotten = outcome === "unknown";
    if (outcome === "lost") {
      this.#held.delete(lease.token);
      holder.onLost();
      this.#warnUnlessReleased(held);
    }
  }
}
