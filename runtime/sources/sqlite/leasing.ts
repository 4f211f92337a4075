import { isCovered } from "#contract/queue-offers.ts";
import type { Database } from "#runtime/lib/database/database.ts";
import { type Lease, maxSkipped, type TakeRequest } from "../job-source.ts";
import { prepareLeasingStatements } from "./statements.ts";

export interface LeasingOptions {
  /** Names this container in the attempts that it makes. */
  readonly workerId: string;
  readonly leaseSeconds: number;
  readonly nowMs: () => number;
  readonly newToken: () => string;
}

/** Finds and leases the next jobs of a worker. */
export class Leasing {
  readonly #options: LeasingOptions;
  readonly #statements: ReturnType<typeof prepareLeasingStatements>;

  constructor(database: Database, options: LeasingOptions) {
    this.#options = options;
    this.#statements = prepareLeasingStatements(database);
  }

  /** Whether `lease` would give a job; changes nothing. */
  isAnyFor(request: TakeRequest): boolean {
    return this.#first(request) !== undefined;
  }

  /** Leases up to `slots` jobs. Part of a transaction. */
  lease(request: TakeRequest): Lease[] {
    const leases: Lease[] = [];
    while (leases.length < request.slots) {
      const lease = this.#leaseOne(request);
      if (lease === undefined) break;
      leases.push(lease);
    }
    return leases;
  }

  #leaseOne(request: TakeRequest): Lease | undefined {
    const first = this.#first(request);
    if (first === undefined) return undefined;
    const { workerId, leaseSeconds, newToken } = this.#options;
    const nowMs = this.#options.nowMs();
    const token = newToken();
    const expiresAtMs = nowMs + leaseSeconds * 1000;
    const { sequence, priority, user_id, model_variant: model } = first;
    const { worker, heldModels = [] } = request;
    const isBest = heldModels.length === 0 || (model !== null && heldModels.includes(model));
    const values = { sequence, token, expires_at_ms: expiresAtMs };
    const leased = isBest
      ? this.#statements.leaseExactly.get(values)
      : this.#statements.leaseFrom.get({
          ...values,
          priority,
          user_id,
          worker,
          ...wishesOf(request),
          held_models: JSON.stringify(heldModels),
        });
    if (leased === undefined) return undefined;
    const { attempt, run } = leased;
    this.#statements.insertAttempt.run({
      token,
      sequence: leased.sequence,
      attempt,
      worker_id: workerId,
      now_ms: nowMs,
    });
    return {
      jobId: leased.id,
      job: leased.body,
      token,
      attempt,
      run,
      queuedAtMs: leased.available_at_ms,
      takenAtMs: nowMs,
      expiresAtMs,
      ...(leased.error === null ? {} : { previousError: leased.error }),
    };
  }

  #first(request: TakeRequest) {
    const { worker, offer, skip = [] } = request;
    if (this.#statements.isPaused.get({ worker })?.answer === true) return undefined;
    const first = this.#statements.firstDue.get({ worker });
    if (first === undefined) return first;
    const isSkipped = skip.some(({ userId, type }) => userId === first.user_id && type === first.type);
    const isOffered = offer === undefined || isCovered({ type: first.type, model: first.model_variant }, offer);
    if (isOffered && !isSkipped) return first;
    const { firstOffered, firstUnskipped, firstOfOthers } = this.#statements;
    if (skip.length === 0) return firstOffered.get({ worker, offer: JSON.stringify(offer) });
    const values = { worker, ...wishesOf(request) };
    return firstUnskipped.get(values) ?? firstOfOthers.get(values);
  }
}

/** As the statements read it. */
function wishesOf({ offer, skip = [] }: TakeRequest) {
  const pairs = skip.slice(0, maxSkipped).map(({ userId, type }) => [userId, type]);
  return { offer: offer === undefined ? null : JSON.stringify(offer), skip: JSON.stringify(pairs) };
}
