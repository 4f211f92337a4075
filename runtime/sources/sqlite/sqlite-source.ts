import { randomUUID } from "node:crypto";
import type { ErrorReport } from "#contract/errors.ts";
import { boundedReason, type ReleaseReason } from "#contract/release-reason.ts";
import type { Database } from "#runtime/lib/database/database.ts";
import type {
  AttemptOutcome,
  ChangeKind,
  JobResult,
  JobSource,
  LeaseKey,
  NotedDelivery,
  Offer,
  Renewal,
  RenewalOutcome,
  SettleOutcome,
  Taken,
  TakeRequest,
  UnreportedEnd,
} from "../job-source.ts";
import { ClockJump } from "./clock-jump.ts";
import { Ends, maxClaimedEnds } from "./ends.ts";
import { Leasing } from "./leasing.ts";
import { SourceChanges } from "./source-changes.ts";
import { SqliteQueue } from "./sqlite-queue.ts";
import { SqliteSessions } from "./sqlite-sessions.ts";
import { prepareLeaseStatements } from "./statements.ts";

type SettleCall = "complete" | "retry" | "fail" | "release" | "cancelled";

export interface SqliteSourceOptions {
  /** Names this container in the attempts that it makes. */
  readonly workerId: string;
  /** Seconds that a lease lasts without renewal. */
  readonly leaseSeconds?: number;
  readonly nowMs?: () => number;
  /** A clock that nobody sets; by default the process's own, or `nowMs` where that is given. */
  readonly steadyMs?: () => number;
  readonly newToken?: () => string;
}

/** What a settling call answers by how the lease's attempt has ended; anything else was not ended by that call. */
const becomes: Readonly<Record<SettleCall, Partial<Readonly<Record<AttemptOutcome, SettleOutcome>>>>> = {
  complete: { completed: "completed" },
  retry: { retried: "requeued", cancelled: "cancelled" },
  fail: { failed: "failed" },
  release: { released: "requeued", cancelled: "cancelled" },
  cancelled: { cancelled: "cancelled" },
};

/**
 * The embedded source: jobs in the database file of this machine, safe for several processes. Every settling call is
 * one transaction that looks for the lease's token; when the job does not carry it any more, the attempt's record
 * tells whether the same call was made before or somebody else has the job ("lost").
 *
 * None of these calls waits for the disk. A power cut that takes the last of them ends this container too: a lost `take`
 * leaves the job in its queue, any other lost call leaves it to its lease, and a finished one to the outbox, whose row
 * is durable until the job is settled and stands before the settling in the same log.
 */
export class SqliteSource extends SqliteQueue implements JobSource {
  readonly name = "sqlite";
  readonly leaseSeconds: number;
  readonly sessions: SqliteSessions;
  /** Two containers that were given the same name do not withdraw each other's offers. */
  readonly #instance: string;
  readonly #leasing: Leasing;
  readonly #ends: Ends;
  readonly #statements: ReturnType<typeof prepareLeaseStatements>;
  readonly #changes: SourceChanges;
  readonly #clockJump: ClockJump;

  constructor(database: Database, options: SqliteSourceOptions) {
    super(database, options.nowMs);
    this.leaseSeconds = options.leaseSeconds ?? 30;
    this.#instance = `${options.workerId}/${randomUUID()}`;
    const { nowMs, leaseSeconds } = this;
    this.sessions = new SqliteSessions(database, nowMs);
    const { workerId, newToken = randomUUID } = options;
    this.#leasing = new Leasing(database, { workerId, leaseSeconds, nowMs, newToken });
    this.#ends = new Ends(database, { leaseSeconds, nowMs });
    this.#statements = prepareLeaseStatements(database);
    const steadyMs = options.steadyMs ?? options.nowMs ?? (() => performance.now());
    this.#clockJump = new ClockJump(nowMs, steadyMs, leaseSeconds * 1000);
    this.#changes = new SourceChanges(database, { nowMs, isAnyFor: (request) => this.#leasing.isAnyFor(request) });
  }

  async take(requests: readonly TakeRequest[]): Promise<Taken> {
    const wanted = requests.filter(({ slots }) => slots > 0);
    if (wanted.length > 0) this.#changes.requested(wanted);
    const lease = () => wanted.flatMap((request) => this.#leasing.lease(request));
    const taken = await this.database.writeSoon(() => {
      const now_ms = this.nowMs();
      if (this.#statements.anyMomentPassed.get({ now_ms })?.answer !== true) return { leases: lease(), ends: [] };
      this.expireLeases();
      this.#statements.promoteDue.run({ now_ms });
      const isThrough = this.#ends.expire(this.offers);
      // What has expired is not leased: when so many have that some are left, the next take goes on.
      return { leases: isThrough ? lease() : [], ends: this.#ends.claim() };
    });
    for (const lease of taken.leases) this.#changes.hold(lease.token);
    if (taken.ends.length === maxClaimedEnds) this.changed("ends");
    return taken;
  }

  async reported(ends: readonly Pick<UnreportedEnd, "jobId" | "run">[]): Promise<void> {
    await this.database.writeSoon(() => this.#ends.reported(ends));
  }

  announce(offers: ReadonlyMap<string, Offer>): Promise<void> {
    return this.offers.announce(this.#instance, offers);
  }

  async renew(renewals: readonly Renewal[]): Promise<RenewalOutcome[]> {
    if (renewals.length === 0) return [];
    const outcomes = await this.database.writeSoon(() => renewals.map((renewal) => this.#renewOne(renewal)));
    for (const [index, { lease }] of renewals.entries()) {
      if (outcomes[index] === "lost") this.#changes.letGo(lease.token);
      if (outcomes[index] === "cancelled") this.#changes.cancelKnown(lease.token);
    }
    return outcomes;
  }

  async noteDeliveries(deliveries: readonly NotedDelivery[]): Promise<void> {
    await this.database.writeGrouped(() => {
      for (const { lease, note } of deliveries) {
        const { jobId: id, token } = lease;
        this.#statements.noteDelivery.run({ id, token, delivery: JSON.stringify(note) });
      }
    });
  }

  complete(lease: LeaseKey, result: JobResult): Promise<SettleOutcome> {
    return this.#settle(lease, "complete", () => this.#end(lease, "completed", { result }));
  }

  fail(lease: LeaseKey, error: ErrorReport): Promise<SettleOutcome> {
    return this.#settle(lease, "fail", () => this.#end(lease, "failed", { error }));
  }

  cancelled(lease: LeaseKey): Promise<SettleOutcome> {
    return this.#settle(lease, "cancelled", () => this.#end(lease, "cancelled", {}));
  }

  retry(
    lease: LeaseKey,
    { error, delaySeconds }: { readonly error: ErrorReport; readonly delaySeconds: number },
  ): Promise<SettleOutcome> {
    return this.#settle(lease, "retry", () => this.#requeue(lease, "retried", { error, delaySeconds }));
  }

  release(lease: LeaseKey, delaySeconds = 0, reason?: ReleaseReason): Promise<SettleOutcome> {
    return this.#settle(lease, "release", () => this.#requeue(lease, "released", { delaySeconds, reason }));
  }

  waitForChange(timeoutMs: number, signal: AbortSignal, what?: ChangeKind): Promise<void> {
    return this.#changes.wait(timeoutMs, signal, what);
  }

  /** Ends running waits. The database stays open: it belongs to whoever opened it. */
  async close(): Promise<void> {
    this.#changes.close();
  }

  protected override expireLeases(): void {
    if (!this.#clockJump.isRecent()) super.expireLeases();
  }

  protected override changed(what: ChangeKind): void {
    this.#changes.notify(what);
  }

  #renewOne({ lease, progress }: Renewal): RenewalOutcome {
    const { jobId: id, token } = lease;
    const expires_at_ms = this.nowMs() + this.leaseSeconds * 1000;
    const renewed = this.#statements.renewLease.get({ id, token, expires_at_ms, progress: progress ?? null });
    if (renewed === undefined) return "lost";
    if (this.#statements.reviveAttempt.run({ token }) > 0) {
      this.#statements.restorePreviousError.run({ sequence: renewed.sequence });
    }
    return renewed.cancel_requested ? "cancelled" : "held";
  }

  /** @param change ends the lease, if it is there to be ended */
  async #settle(lease: LeaseKey, call: SettleCall, change: () => void): Promise<SettleOutcome> {
    const outcome = await this.database.writeSoon((): SettleOutcome => {
      change();
      const ended = this.#statements.attemptOutcome.get({ id: lease.jobId, token: lease.token })?.outcome;
      return (ended === undefined ? undefined : becomes[call][ended]) ?? "lost";
    });
    this.#changes.letGo(lease.token);
    if (call === "retry" || call === "release") this.changed("jobs");
    return outcome;
  }

  #end(
    { jobId: id, token }: LeaseKey,
    outcome: "completed" | "failed" | "cancelled",
    { result, error }: { readonly result?: JobResult; readonly error?: ErrorReport },
  ): void {
    const now_ms = this.nowMs();
    const values = { token, now_ms, error: toJson(error) };
    if (this.#statements.endJob.run({ ...values, id, status: outcome, result: toJson(result) }) === 0) return;
    this.#statements.endAttempt.run({ ...values, outcome, reason: null });
  }

  #requeue(
    { jobId: id, token }: LeaseKey,
    outcome: "retried" | "released",
    { error, delaySeconds, reason }: Requeueing,
  ): void {
    const now_ms = this.nowMs();
    const job = this.#statements.requeueJob.get({
      id,
      token,
      now_ms,
      available_at_ms: now_ms + Math.round(delaySeconds * 1000),
      report_at_ms: now_ms + this.leaseSeconds * 1000,
      given_back: outcome === "released" ? 1 : 0,
      error: toJson(error),
    });
    if (job === undefined) return;
    const ended = job.status === "cancelled" ? "cancelled" : outcome;
    const why = reason === undefined ? null : toJson(boundedReason(reason));
    this.#statements.endAttempt.run({ token, now_ms, outcome: ended, error: toJson(error), reason: why });
    if (ended === "released") this.#statements.restorePreviousError.run({ sequence: job.sequence });
  }
}

interface Requeueing {
  readonly error?: ErrorReport;
  readonly delaySeconds: number;
  readonly reason?: ReleaseReason | undefined;
}

function toJson(value: unknown): string | null {
  return value === undefined ? null : JSON.stringify(value);
}
