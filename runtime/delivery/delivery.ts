import { setImmediate as nextTurn } from "node:timers/promises";
import PQueue from "p-queue";
import { publishEnd } from "#runtime/dispatch/job-end.ts";
import type { JobEvents } from "#runtime/dispatch/job-events.ts";
import type { LeaseKeeper } from "#runtime/dispatch/lease-keeper.ts";
import { within } from "#runtime/lib/within.ts";
import type { Logger } from "#runtime/observe/log.ts";
import type { Metrics } from "#runtime/observe/metrics/metrics.ts";
import type { JobSource, Lease, LeaseKey } from "#runtime/sources/job-source.ts";
import { type FinalSettlement, processingCallback } from "./callbacks/build-callback.ts";
import type { Callback } from "./callbacks/callback.ts";
import { DeliveryGates, type GateWait } from "./delivery-gates.ts";
import { DeliverySteps } from "./delivery-steps.ts";
import { destinationOf } from "./destination.ts";
import { EndConfirmations } from "./end-confirmations.ts";
import { endOf } from "./entry-end.ts";
import { FinalReports } from "./final-reports.ts";
import { LeaseHolds } from "./lease-holds.ts";
import { type EndedJob, type EntryMaker, endedEntry, type FinishFacts, finishedEntry } from "./new-entries.ts";
import type { OutageGate } from "./outage-gate.ts";
import type { Outbox } from "./outbox.ts";
import type { OutboxEntry } from "./outbox-entry.ts";
import { fieldsOf, type OutboxRow } from "./outbox-row.ts";
import { ProgressChannels } from "./progress-channels.ts";
import { recordResult } from "./record-result.ts";
import { RowBackoff } from "./row-backoff.ts";
import type { StoredFiles } from "./stored-files.ts";
import type { AssetStore } from "./stores/asset-store.ts";
import { type DeliveryAlarm, unreadableAlarms } from "./waits.ts";
import type { Webhook } from "./webhooks/webhook.ts";
import { webhookEntriesOf } from "./webhooks/webhook-row.ts";
import { removeDeliveredWork } from "./work-removal.ts";

/*
 * Brings finished work to the app: files on local disk → outbox row (fsync) → upload → callback → settle → delete.
 * A crash at any line goes on from the row, here or in another process on the same data folder. Every step may be
 * repeated: uploads replace, callbacks are idempotent by (job, run, attempt, status), settling is idempotent by lease token.
 *
 * A row is, in this process:
 *
 *   recorded here, or due and claimed ──► active ──delivered───────────────────────────────► gone
 *                                         ▲  │ └───claimed by another process meanwhile────► let go
 *                                         │  └─────a step failed, or what it needs is away─► waiting
 *                                         └──────due, by its pause, a gate that opens, or a person──┘
 *
 * An active row is this process's claim (outbox-claims.ts). It holds its job's lease, and so does one that waits (lease-holds.ts). This
 * file moves rows from one state to the next: what is done to an active one is in delivery-steps.ts, with one that waits in row-backoff.ts.
 */
export interface DeliveryOptions {
  readonly outbox: Outbox;
  readonly store: AssetStore;
  readonly callback: Callback;
  readonly webhook: Pick<Webhook, "send" | "sendBody">;
  readonly stored: StoredFiles;
  readonly sources: ReadonlyMap<string, JobSource>;
  readonly keepers: ReadonlyMap<string, LeaseKeeper>;
  readonly events: JobEvents;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly workerId: string;
  readonly concurrency: number;
  readonly nowMs: () => number;
  readonly random: () => number;
}

/** How long the start waits for a source that is away. */
const resumeLimitMs = 5000;
/** How long a store or a callback may take to stop when it is aborted. */
const abortLimitMs = 1000;
const webhookConcurrency = 8;

export class Delivery {
  readonly #options: DeliveryOptions;
  readonly #queue: PQueue;
  /** Apart from the rest: addresses that do not answer keep no result from its app. */
  readonly #webhooks = new PQueue({ concurrency: webhookConcurrency });
  readonly #progress: ProgressChannels;
  readonly #active = new Set<number>();
  readonly #leases: LeaseHolds;
  readonly #stopping = new AbortController();
  readonly #steps: DeliverySteps;
  readonly #gates: DeliveryGates;
  readonly #reports: FinalReports;
  readonly #confirmations: EndConfirmations;
  readonly #backoff: RowBackoff;
  #sweep: NodeJS.Timeout | null = null;
  /** How often due rows were looked for. */
  #looks = 0;

  constructor(options: DeliveryOptions) {
    this.#options = options;
    this.#leases = new LeaseHolds(options);
    this.#progress = new ProgressChannels(options.callback, options.log);
    this.#confirmations = new EndConfirmations(options.sources);
    this.#gates = new DeliveryGates({ ...options, onOpened: () => void this.#wake() });
    const progressSent = (run: OutboxEntry["lease"]) => this.#progress.closeRun(run);
    this.#reports = new FinalReports({ ...options, gates: this.#gates, progressSent });
    const parts = {
      leases: this.#leases,
      gates: this.#gates,
      reports: this.#reports,
      confirmations: this.#confirmations,
    };
    this.#steps = new DeliverySteps({ ...options, ...parts });
    this.#backoff = new RowBackoff({ ...options, onDue: () => void this.#claimDue() });
    this.#queue = new PQueue({ concurrency: options.concurrency });
  }

  /**
   * Takes up what an earlier process left, and looks again for due and abandoned rows from time to time. When the
   * promise resolves, the leases of finished jobs are safe: before that, nobody here should take jobs.
   */
  async start(): Promise<void> {
    await within(resumeLimitMs, this.#leases.takeOver(this.#options.outbox));
    // What an earlier process gave a long pause may have been mended, and this process started for that.
    void this.#wake();
    this.#sweep = setInterval(() => void this.#sweepOnce(), this.#options.outbox.claims.claimMs / 4);
    this.#sweep.unref();
  }

  /** Notifies the app that the job is under way; coalesced, best effort. */
  sendProcessing(_source: JobSource, lease: Lease, progress: number): void {
    this.#progress.open(lease);
    if (this.#gates.isAppAway) return;
    this.#progress.send(
      lease,
      processingCallback(
        { lease, workerId: this.#options.workerId, nowMs: this.#options.nowMs(), ranMs: null },
        progress,
      ),
    );
  }

  /** No more progress of this lease: its attempt is over, whatever becomes of the job. */
  endProgress(lease: LeaseKey): void {
    this.#progress.close(lease);
  }

  /** The attempt ended without an end state. */
  forget(lease: LeaseKey): void {
    this.#progress.forget(lease);
  }

  /** Records the end of a job. When the promise resolves the result cannot be lost any more; delivery goes on by itself. */
  async finish(source: JobSource, lease: Lease, settlement: FinalSettlement, facts: FinishFacts): Promise<void> {
    // Lets nothing follow. What is on its way is waited for before the final callback, not before the result is safe.
    this.#progress.close(lease);
    const entry = finishedEntry(this.#maker, source.name, lease, settlement, facts);
    this.#enqueue(await recordResult(this.#options, entry, facts.ranMs, this.#stopping.signal));
  }

  /**
   * Records the final callbacks of jobs that the source has brought to their ends: on disk when the promise resolves.
   * @param confirmed whether the source has heard then that they are; a row is kept until it has
   * @param onGone called when the row of one of them is gone, or another process's
   * @returns those that this process delivers: another one works on the rest
   */
  async reportEnds(
    source: JobSource,
    ends: readonly EndedJob[],
    confirmed = Promise.resolve(false),
    onGone?: (end: EndedJob) => void,
  ): Promise<readonly EndedJob[]> {
    const rows = await this.#options.outbox.recordAll(ends.map((end) => endedEntry(this.#maker, source.name, end)));
    return ends.filter((end, place) => {
      const row = rows[place] ?? null;
      if (row !== null) this.#confirmations.expect(row.id, { confirmed, onGone: () => onGone?.(end) });
      this.#enqueue(row);
      return row !== null;
    });
  }

  get #maker(): EntryMaker {
    const { workerId, nowMs } = this.#options;
    return { workerId, nowMs: nowMs(), madeFor: destinationOf(this.#options) };
  }

  /** Rows that are not delivered yet, in this data folder. */
  get pending(): number {
    return this.#options.outbox.count();
  }

  /** What keeps finished jobs from being delivered by this process, and a person has to look at. */
  get alarms(): readonly DeliveryAlarm[] {
    return [...unreadableAlarms(this.#options.outbox.claims.unreadable), ...this.#backoff.alarms];
  }

  /** Tries everything again now, whatever pauses were meant to be kept. */
  async tryNow(): Promise<void> {
    this.#gates.letThrough();
    await this.#wake();
  }

  /** Resolves when everything that is due has been tried, or after `limitMs`; what is left stays in the outbox. */
  async drain(limitMs: number): Promise<void> {
    await within(limitMs, Promise.all([this.#queue.onIdle(), this.#webhooks.onIdle()]));
  }

  async stop(limitMs: number): Promise<void> {
    if (this.#sweep) clearInterval(this.#sweep);
    this.#backoff.stopLooking();
    await this.drain(limitMs);
    this.#stopping.abort();
    this.#queue.clear();
    this.#webhooks.clear();
    await within(abortLimitMs, Promise.all([this.#progress.closeAll(), this.#queue.onIdle(), this.#webhooks.onIdle()]));
    this.#backoff.close();
    this.#leases.releaseAll();
    await this.#options.outbox.claims.release();
  }

  async #sweepOnce(): Promise<void> {
    try {
      // At rest the sweep reads one number and writes nothing.
      const { outbox } = this.#options;
      if (this.#backoff.isAny || outbox.claims.unreadable.length > 0) this.#keep(new Set(outbox.ids()));
      if (outbox.count() === 0) return;
      if (this.#active.size > 0) await outbox.claims.renew();
    } catch (error) {
      this.#options.log.error({ error }, "outbox claims could not be renewed; trying again");
    }
    await this.#claimDue();
  }

  /** Forgets what kept rows that are gone. */
  #keep(rowIds: ReadonlySet<number>): void {
    this.#backoff.keep(rowIds);
    this.#options.outbox.claims.keepUnreadable(rowIds);
  }

  /** Ends where it is called again meanwhile: that one begins with the oldest. */
  async #claimDue(): Promise<void> {
    if (this.#stopping.signal.aborted) return;
    const look = ++this.#looks;
    const probed = new Set<OutageGate>();
    try {
      for await (const rows of this.#options.outbox.claims.claimDue(this.#active)) {
        await this.#takeUp(rows, probed);
        await nextTurn();
        if (this.#stopping.signal.aborted || look !== this.#looks) return;
      }
    } catch (error) {
      this.#options.log.error({ error }, "the outbox cannot be read; trying again");
    }
  }

  /** @param probed what rows before these find out about */
  async #takeUp(rows: readonly OutboxRow[], probed: Set<OutageGate>): Promise<void> {
    // Somebody beside this process wants them tried.
    if (rows.some(({ id }) => this.#backoff.isEarly(id))) this.#gates.letThrough();
    const waits = this.#gates.waitsOf(rows, (row) => this.#reports.needsNobody(row), probed);
    const waiting: { row: OutboxRow; wait: GateWait }[] = [];
    for (const [index, row] of rows.entries()) {
      const wait = waits[index];
      this.#leases.hold(row.entry);
      if (wait !== undefined && wait.waitMs > 0) waiting.push({ row, wait });
      else this.#enqueue(row);
    }
    await this.#backoff.wait(waiting);
  }

  async #wake(): Promise<void> {
    this.#backoff.makeDue();
    try {
      await this.#options.outbox.wake();
    } catch (error) {
      this.#options.log.error({ error }, "the outbox cannot be written; trying again");
    }
    await this.#claimDue();
  }

  /**
   * The oldest goes first, also where it comes back among younger ones. What is under way already, here or in another process,
   * is left to that.
   */
  #enqueue(row: OutboxRow | null): void {
    if (row === null || this.#active.has(row.id)) return;
    this.#active.add(row.id);
    this.#leases.hold(row.entry);
    const work = async () => {
      try {
        await this.#deliver(row);
      } catch (error) {
        // Not even the failure could be written down; the row is as it was and the next sweep takes it up again.
        this.#options.log.error({ ...fieldsOf(row), error }, "the outbox cannot be written; trying again");
      } finally {
        this.#active.delete(row.id);
      }
    };
    void (row.entry.forWebhook ? this.#webhooks : this.#queue).add(work, { priority: -row.id });
  }

  async #deliver(row: OutboxRow): Promise<void> {
    const { log, metrics } = this.#options;
    const fields = fieldsOf(row);
    try {
      if (this.#stopping.signal.aborted) return;
      // Another process has it, or has had it.
      if (!this.#options.outbox.claims.isClaimed(row.id)) return this.#letGo(row);
      const { outcome, entry } = await this.#steps.run(row, this.#stopping.signal);
      await this.#discard(row.id, entry, outcome === "lost" ? [] : webhookEntriesOf(entry));
      if (entry.forWebhook) {
        log.info(fields, "webhook notified, or given up");
        return;
      }
      if (outcome === "lost") {
        metrics.leasesLost.add({ source: entry.source });
        log.warn(fields, "a finished attempt is dropped: another container has the job");
        return;
      }
      if (!entry.ended) publishEnd(this.#options, endOf(entry));
      if (outcome === "unknown") log.warn(fields, "a job that its source has forgotten is delivered all the same");
      log.info({ ...fields, status: entry.callback.status, files: entry.files.length }, "job delivered and settled");
    } catch (error) {
      // Cut short by the stop: the row stays due, and the next process takes it up, after what the app has taken.
      if (this.#stopping.signal.aborted) return row.reported ? this.#options.outbox.markReported(row.id) : undefined;
      await this.#backoff.failed(row, error);
    }
  }

  /** @param next what is left to do, in rows of their own */
  async #discard(id: number, entry: OutboxEntry, next: readonly OutboxEntry[]): Promise<void> {
    const { outbox } = this.#options;
    if (next.length === 0) await outbox.remove(id);
    else for (const row of await outbox.removeFor(id, next)) this.#enqueue(row);
    this.#backoff.delivered(entry.lease);
    this.#letGo({ id, entry });
    await removeDeliveredWork(entry, this.#options.log);
  }

  #letGo({ id, entry: { lease } }: Pick<OutboxRow, "id" | "entry">): void {
    this.#backoff.forget(id);
    this.#reports.forget(id);
    this.#confirmations.forget(id);
    this.#leases.release(lease.token);
    this.forget(lease);
  }
}
