import type { Database } from "#runtime/lib/database/database.ts";
import { isCovered } from "../job-need.ts";
import { type JobNeed, type Offer, offerTtlSeconds, type UnofferedJobs } from "../job-source.ts";
import { prepareOfferStatements } from "./statements.ts";

/** Whether a container offers to run what needs this, on the queue of this worker. */
export type IsOffered = (worker: string, need: JobNeed) => boolean;

/** What the containers on this file offer to run. */
export class LiveOffers {
  readonly #database: Database;
  readonly #nowMs: () => number;
  readonly #statements: ReturnType<typeof prepareOfferStatements>;

  constructor(database: Database, nowMs: () => number) {
    this.#database = database;
    this.#nowMs = nowMs;
    this.#statements = prepareOfferStatements(database);
  }

  /** In place of what the container has announced before. */
  async announce(container: string, offers: ReadonlyMap<string, Offer>): Promise<void> {
    await this.#database.writeSoon(() => {
      const now_ms = this.#nowMs();
      this.#statements.withdrawOffers.run({ container, now_ms });
      const expires_at_ms = now_ms + offerTtlSeconds * 1000;
      for (const [worker, offer] of offers)
        this.#statements.insertOffer.run({ container, worker, offer: JSON.stringify(offer), expires_at_ms });
    });
  }

  read(): IsOffered {
    const offers = Map.groupBy(this.#statements.liveOffers.all({ now_ms: this.#nowMs() }), ({ worker }) => worker);
    return (worker, need) => offers.get(worker)?.some(({ offer }) => isCovered(need, offer)) ?? false;
  }

  /** Due jobs of the worker that no container offers to run, the longest waiting first. */
  unoffered(worker: string, isOffered: IsOffered): UnofferedJobs[] {
    const now_ms = this.#nowMs();
    return this.#statements.needsOfDue
      .all({ worker, now_ms })
      .map(({ type, model_variant, jobs, oldest_ms }) => ({
        type,
        model: model_variant,
        jobs,
        oldestSeconds: (now_ms - oldest_ms) / 1000,
      }))
      .filter((need) => !isOffered(worker, need));
  }
}
