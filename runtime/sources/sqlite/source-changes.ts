import type { Database } from "#runtime/lib/database/database.ts";
import { waitIsOver } from "#runtime/lib/within.ts";
import type { ChangeKind, TakeRequest } from "../job-source.ts";
import { ChangeWatch } from "./change-watch.ts";
import { prepareChangeStatements } from "./statements.ts";

export interface SourceChangesOptions {
  readonly nowMs: () => number;
  /** Whether a job is due that a take with this request would lease. */
  isAnyFor(request: TakeRequest): boolean;
}

/** How often other processes' commits are looked for. A running job should hear of its cancel within one step. */
const pollMs = { jobs: 100, ends: 250, leases: 50 } as const satisfies Record<ChangeKind, number>;

/**
 * Notifies the loop that takes and the loop that renews when there is something for them. `PRAGMA data_version` is a cheap
 * first query: only when somebody has committed is it queried what changed. Without the second query, the renewals of two
 * containers on one file would wake each other for ever.
 */
export class SourceChanges {
  readonly #database: Database;
  readonly #options: SourceChangesOptions;
  readonly #statements: ReturnType<typeof prepareChangeStatements>;
  readonly #jobs = new ChangeWatch(() => this.#pollJobs());
  readonly #ends = new ChangeWatch(() => this.#pollEnds());
  readonly #leases = new ChangeWatch(() => this.#pollLeases());
  /** Leases that were taken here and not settled. */
  readonly #held = new Set<string>();
  /** Those among them whose holder knows that a cancel was requested. */
  readonly #cancelKnown = new Set<string>();
  readonly #seenVersion: Record<ChangeKind, number>;
  /** Moments up to this one have ended a wait. */
  readonly #seenUntilMs: Record<"jobs" | "ends", number>;
  #requested: readonly TakeRequest[] | undefined;

  constructor(database: Database, options: SourceChangesOptions) {
    this.#database = database;
    this.#options = options;
    this.#statements = prepareChangeStatements(database);
    const version = database.dataVersion();
    this.#seenVersion = { jobs: version, ends: version, leases: version };
    this.#seenUntilMs = { jobs: options.nowMs(), ends: options.nowMs() };
  }

  /** What was taken for last: a job of somebody else that becomes due is no news. */
  requested(requests: readonly TakeRequest[]): void {
    this.#requested = requests;
  }

  hold(token: string): void {
    this.#held.add(token);
  }

  letGo(token: string): void {
    this.#held.delete(token);
    this.#cancelKnown.delete(token);
  }

  cancelKnown(token: string): void {
    if (this.#held.has(token)) this.#cancelKnown.add(token);
  }

  /** Something has changed in this process. */
  notify(what: ChangeKind): void {
    if (what === "leases") {
      this.#leases.notify();
      return;
    }
    this.#jobs.notify();
    if (what === "ends") this.#ends.notify();
  }

  async wait(timeoutMs: number, signal: AbortSignal, what?: ChangeKind): Promise<void> {
    if (what === "jobs") return this.#jobs.wait(timeoutMs, signal);
    if (what === "ends") return this.#ends.wait(timeoutMs, signal);
    if (what === "leases") return this.#leases.wait(timeoutMs, signal);
    const over = new AbortController();
    const either = AbortSignal.any([signal, over.signal]);
    await Promise.race([this.#jobs.wait(timeoutMs, either), this.#leases.wait(timeoutMs, either)]);
    over.abort(waitIsOver);
  }

  close(): void {
    this.#jobs.close();
    this.#ends.close();
    this.#leases.close();
  }

  /** Has somebody else committed while there is something to take, or has a moment come at which there is? */
  #pollJobs(): number {
    return this.#poll("jobs", (nowMs) => this.#isAnyToReport(nowMs) || this.#isAnyToTake());
  }

  /** At any moment of the queue a take may find an end: by it jobs expire, and leases run out. */
  #pollEnds(): number {
    return this.#poll("ends", (nowMs) => this.#isAnyToReport(nowMs));
  }

  #poll(what: "jobs" | "ends", isAnyAt: (nowMs: number) => boolean): number {
    const nowMs = this.#options.nowMs();
    const untilMomentMs = this.#nextMomentMs(this.#seenUntilMs[what]) - nowMs;
    const isAny = this.#committed(what) && isAnyAt(nowMs);
    if (!isAny && untilMomentMs > 0) return Math.min(untilMomentMs, pollMs[what]);
    this.#seenUntilMs[what] = nowMs;
    return 0;
  }

  #isAnyToReport(nowMs: number): boolean {
    return this.#statements.anyEndToReport.get({ now_ms: nowMs })?.answer === true;
  }

  #isAnyToTake(): boolean {
    if (this.#requested !== undefined) return this.#requested.some((request) => this.#options.isAnyFor(request));
    return this.#statements.anyDue.get()?.answer === true;
  }

  #pollLeases(): number {
    return this.#committed("leases") && this.#anyEnded() ? 0 : pollMs.leases;
  }

  #committed(what: ChangeKind): boolean {
    const version = this.#database.dataVersion();
    const committed = version !== this.#seenVersion[what];
    this.#seenVersion[what] = version;
    return committed;
  }

  #nextMomentMs(afterMs: number): number {
    const held_tokens = JSON.stringify([...this.#held]);
    const next = this.#statements.nextMoment.get({ after_ms: afterMs, held_tokens });
    return next?.at_ms ?? Number.POSITIVE_INFINITY;
  }

  #anyEnded(): boolean {
    const tokens = [...this.#held.difference(this.#cancelKnown)];
    return tokens.length > 0 && this.#statements.anyEnded.get({ tokens: JSON.stringify(tokens) })?.answer === true;
  }
}
