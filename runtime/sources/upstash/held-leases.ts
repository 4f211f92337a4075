import type { LeaseKey } from "../job-source.ts";

export interface HeldLease {
  readonly jobId: string;
  /** The lease's name in the timetable, as long as nobody has requested the cancel of its job. */
  readonly member: string;
  progress: number | undefined;
  /** Something was heard of it, so that its next renewal has to look at its record. */
  isSuspect: boolean;
}

/** The leases that were taken here and not settled. */
export class HeldLeases {
  readonly #leases = new Map<string, HeldLease>();
  #takes = 0;
  /** Jobs of whose cancels was heard while takes were under way, which may have leased them already. */
  readonly #heardMeanwhile = new Set<string>();

  /** What is heard during a take may be of a lease that its answer brings. */
  async duringTake<Result>(take: () => Promise<Result>): Promise<Result> {
    this.#takes++;
    try {
      return await take();
    } finally {
      this.#takes--;
      if (this.#takes === 0) this.#heardMeanwhile.clear();
    }
  }

  /**
   * @param isOld its job was leased by an earlier call, of which nothing was heard
   * @returns whether the cancel of its job may have been requested meanwhile
   */
  hold({ jobId, token }: LeaseKey, worker: string, isOld: boolean): boolean {
    const member = `${worker}:${jobId}:${token}`;
    const isSuspect = isOld || this.#heardMeanwhile.has(jobId);
    this.#leases.set(token, { jobId, member, progress: undefined, isSuspect });
    return isSuspect;
  }

  letGo(token: string): void {
    this.#leases.delete(token);
  }

  get(token: string): HeldLease | undefined {
    return this.#leases.get(token);
  }

  tokens(): string[] {
    return [...this.#leases.keys()];
  }

  /** Notes that the job of a lease may have been cancelled; false when none of them has it. */
  markSuspect(jobId: string): boolean {
    if (this.#takes > 0) this.#heardMeanwhile.add(jobId);
    const suspects = [...this.#leases.values()].filter((lease) => lease.jobId === jobId);
    for (const lease of suspects) lease.isSuspect = true;
    return suspects.length > 0;
  }

  /** Those of whose cancel nothing was heard yet. */
  trusted(): HeldLease[] {
    return [...this.#leases.values()].filter((lease) => !lease.isSuspect);
  }

  has(member: string): boolean {
    return this.#leases.has(member.slice(member.lastIndexOf(":") + 1).replace(/!$/, ""));
  }
}
