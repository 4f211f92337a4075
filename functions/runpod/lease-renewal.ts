import type { JobSource, Renewal, RenewalOutcome } from "#runtime/sources/job-source.ts";

export interface LeaseRenewalOptions {
  readonly source: Pick<JobSource, "renew" | "leaseSeconds">;
  readonly nowMs: () => number;
  /** A clock that is never set, and stands still while the machine sleeps. */
  readonly steadyMs: () => number;
}

/** The leases of all jobs that are given to containers, which are renewed in one call. */
export class LeaseRenewal {
  readonly #options: LeaseRenewalOptions;
  /** When all of them were renewed last, or taken. Nobody knows how old those are that an earlier process has left. */
  #renewedAt = { nowMs: 0, steadyMs: Number.NEGATIVE_INFINITY };

  constructor(options: LeaseRenewalOptions) {
    this.#options = options;
  }

  /** Some of them may have run out: a take would find those jobs due, and give them to others while their containers work on them. */
  get isStale(): boolean {
    const { source, nowMs, steadyMs } = this.#options;
    // The one does not go on while the machine sleeps, the other may be set.
    const sinceMs = Math.max(steadyMs() - this.#renewedAt.steadyMs, nowMs() - this.#renewedAt.nowMs);
    return sinceMs > (source.leaseSeconds * 1000) / 2;
  }

  /** All there are have just been taken. */
  begin(): void {
    const { nowMs, steadyMs } = this.#options;
    this.#renewedAt = { nowMs: nowMs(), steadyMs: steadyMs() };
  }

  /** @throws what kept them from being renewed */
  async renew(all: readonly Renewal[]): Promise<readonly RenewalOutcome[]> {
    const outcomes = await this.#options.source.renew(all);
    this.begin();
    return outcomes;
  }
}
