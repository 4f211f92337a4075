import { isCovered } from "#contract/queue-offers.ts";
import type { Database } from "#runtime/lib/database/database.ts";
import type { FindLack } from "../job-need.ts";
import { type Offer, offerTtlSeconds, type UnofferedJobs } from "../job-source.ts";
import { prepareOfferStatements } from "./statements.ts";

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

  read(): FindLack {
    const offers = Map.groupBy(this.#statements.liveOffers.all({ now_ms: this.#nowMs() }), ({ worker }) => worker);
    return (worker, need) => {
      const ofWorker = offers.get(worker);
      if (ofWorker?.some(({ offer }) => isCovered(need, offer))) return null;
      return { type: need.type, model: need.model, served: ofWorker !== undefined };
    };
  }

  /** Due jobs of the worker that no container offers to run, the longest waiting first. */
  unoffered(worker: string, findLack: FindLack): UnofferedJobs[] {
    const now_ms = this.#nowMs();
    return this.#statements.needsOfDue
      .all({ worker, now_ms })
      .flatMap(({ type, model_variant: model, jobs, oldest_ms }) => {
        const lack = findLack(worker, { type, model });
        return lack === null ? [] : [{ ...lack, jobs, oldestSeconds: (now_ms - oldest_ms) / 1000 }];
      });
  }
}
