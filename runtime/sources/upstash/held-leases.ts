import type { LeaseKey } from "../job-source.ts";

export interface HeldLease {
  readonly jobId: string;
  /** The lease's name in the timetable, as long as nobody has asked to cancel its job. */
  readonly member: string;
  progress: number | undefined;
  /** Something was heard of it, so its next renewal has to ask. */
  isDoubtful: boolean;
}

/** The leases that were taken here and not settled. */
export class HeldLeases {
  readonly #leases = new Map<string, HeldLease>();

  hold({ jobId, token }: LeaseKey, worker: string): void {
    const member = `${worker}:${jobId}:${token}`;
    this.#leases.set(token, { jobId, member, progress: undefined, isDoubtful: false });
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
  doubt(jobId: string): boolean {
    const doubtful = [...this.#leases.values()].filter((lease) => lease.jobId === jobId);
    for (const lease of doubtful) lease.isDoubtful = true;
    return doubtful.length > 0;
  }

  /** Those whose cancel nobody has told of yet. */
  undoubted(): HeldLease[] {
    return [...this.#leases.values()].filter((lease) => !lease.isDoubtful);
  }

  has(member: string): boolean {
    return this.#leases.has(member.slice(member.lastIndexOf(":") + 1).replace(/!$/, ""));
  }
}
