import { expiredError } from "#contract/expiry.ts";
import type { Database } from "#runtime/lib/database/database.ts";
import type { UnreportedEnd } from "../job-source.ts";
import type { LiveOffers } from "./live-offers.ts";
import { prepareEndStatements } from "./statements.ts";

export interface EndsOptions {
  readonly leaseSeconds: number;
  readonly nowMs: () => number;
}

/** Rows that one take changes, so that it holds the write lock for milliseconds only. */
const maxExpired = 500;
export const maxClaimedEnds = 100;

/** Jobs that come to their end while no attempt runs. Every method is part of a transaction. */
export class Ends {
  readonly #options: EndsOptions;
  readonly #statements: ReturnType<typeof prepareEndStatements>;

  constructor(database: Database, options: EndsOptions) {
    this.#options = options;
    this.#statements = prepareEndStatements(database);
  }

  /** Fails the jobs that have waited longer than they may; false when there may be more of them. */
  expire(offers: LiveOffers): boolean {
    const now_ms = this.#options.nowMs();
    const overdue = this.#statements.overdue.all({ now_ms, limit: maxExpired });
    if (overdue.length === 0) return true;
    const findLack = offers.read();
    for (const { sequence, worker, type, model_variant: model, due, body, expires_at_ms } of overdue) {
      const need = due ? findLack(worker, { type, model }) : null;
      const error = expiredError(body, expires_at_ms, need);
      this.#statements.expireJob.run({ sequence, now_ms, error: JSON.stringify(error) });
    }
    return overdue.length < maxExpired;
  }

  /** Ends that nobody has reported, in the order in which they came; nobody else is given them within one lease time. */
  claim(): UnreportedEnd[] {
    const now_ms = this.#options.nowMs();
    const until_ms = now_ms + this.#options.leaseSeconds * 1000;
    return this.#statements.claimEnds
      .all({ now_ms, until_ms, limit: maxClaimedEnds })
      .sort((a, b) => a.settled_at_ms - b.settled_at_ms || a.sequence - b.sequence)
      .map(({ id, body, run, attempt, status, error, settled_at_ms }) => ({
        jobId: id,
        job: body,
        run,
        attempt,
        status,
        ...(error === null ? {} : { error }),
        endedAtMs: settled_at_ms,
      }));
  }

  reported(ends: readonly Pick<UnreportedEnd, "jobId" | "run">[]): void {
    for (const { jobId: id, run } of ends) this.#statements.endReported.run({ id, run });
  }
}
