import { setTimeout as pause } from "node:timers/promises";
import PQueue from "p-queue";
import { PermanentError, toErrorReport } from "#contract/errors.ts";
import { bucketOf } from "#contract/job.ts";
import { retryDelaySeconds } from "../backoff.ts";
import { removeWork } from "../data-folder.ts";
import type { JobEvents } from "../job-events.ts";
import type { LeaseKeeper } from "../lease-keeper.ts";
import type { Logger } from "../log.ts";
import type { Metrics } from "../metrics/metrics.ts";
import type { JobSource, Lease, LeaseKey, SettleOutcome } from "../source/job-source.ts";
import { within } from "../within.ts";
import type { AssetStore } from "./asset-store.ts";
import { assetNames, assetPath, type FinalSettlement, finalCallback, processingCallback } from "./build-callback.ts";
import type { Callback } from "./callback.ts";
import { claimMs, type Outbox, type OutboxEntry, type OutboxRow } from "./outbox.ts";
import { ProgressChannel } from "./progress-channel.ts";

/*
 * Brings finished work to the app: files on local disk → outbox row (fsync) → upload → callback → settle → delete.
 * A crash at any line goes on from the row, here or in another process on the same data folder. Every step may be
 * repeated: uploads replace, callbacks are idempotent by (job, attempt, status), settling is idempotent by lease token.
 *
 * Before anything leaves, the lease is confirmed: who does not hold it any more delivers nothing. One that is gone because
 * an earlier settling was applied, though its answer was lost, is told apart by saying that settling again.
 */
export interface DeliveryOptions {
  readonly outbox: Outbox;
  readonly store: AssetStore;
  readonly callback: Callback;
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

export interface FinishFacts {
  readonly startedAtMs: number | null;
  readonly workFolder: string;
}

const callbackPatienceMs = 24 * 60 * 60 * 1000;
/** How long the start waits for a source that is away. */
const resumeLimitMs = 5000;
/** About ten minutes, with the pauses between. */
const recordTries = 16;
/** Work that took longer than this is not to be done again after a power cut. */
const longWorkMs = 1000;
/** How long a store or a callback may take to notice that it is aborted. */
const abortLimitMs = 1000;
const retryPauses = { baseSeconds: 1, maxSeconds: 60 };

export class Delivery {
  readonly #options: DeliveryOptions;
  readonly #queue: PQueue;
  readonly #channels = new Map<string, ProgressChannel>();
  readonly #active = new Set<number>();
  readonly #holds = new Map<string, () => void>();
  readonly #stopping = new AbortController();
  #sweep: NodeJS.Timeout | null = null;

  constructor(options: DeliveryOptions) {
    this.#options = options;
    this.#queue = new PQueue({ concurrency: options.concurrency });
  }

  /**
   * Takes up what an earlier process left, and looks again for due and abandoned rows from time to time. When the
   * promise resolves, the leases of finished jobs are safe: before that, nobody here should take jobs.
   */
  async start(): Promise<void> {
    await within(resumeLimitMs, this.#confirmLeases());
    void this.#claimDue();
    this.#sweep = setInterval(() => void this.#sweepOnce(), claimMs / 4);
    this.#sweep.unref();
  }

  /** Rows that are not due yet, or wait their turn, must not lose their leases meanwhile. */
  async #confirmLeases(): Promise<void> {
    try {
      const rows = this.#options.outbox.all();
      for (const { entry } of rows) this.#holdLease(entry);
      for (const [name, entries] of Map.groupBy(rows, ({ entry }) => entry.source)) {
        await this.#options.sources.get(name)?.renew(entries.map(({ entry }) => ({ lease: entry.lease })));
      }
    } catch (error) {
      this.#options.log.warn({ error }, "the leases of finished jobs could not be renewed at the start");
    }
  }

  /** Tells the app that the job is under way; coalesced, best effort. */
  sendProcessing(_source: JobSource, lease: Lease, progress: number): void {
    const channel = this.#channels.get(lease.token) ?? new ProgressChannel(this.#options.callback, this.#options.log);
    this.#channels.set(lease.token, channel);
    channel.send(
      processingCallback(
        { lease, workerId: this.#options.workerId, nowMs: this.#options.nowMs(), startedAtMs: null },
        progress,
      ),
    );
  }

  /** No more progress of this lease: the attempt ended without an end state. */
  forget(lease: LeaseKey): void {
    void this.#channels.get(lease.token)?.close();
    this.#channels.delete(lease.token);
  }

  /** Records the end of a job. When the promise resolves the result cannot be lost any more; delivery goes on by itself. */
  async finish(source: JobSource, lease: Lease, settlement: FinalSettlement, facts: FinishFacts): Promise<void> {
    const { workerId, nowMs } = this.#options;
    await this.#channels.get(lease.token)?.close();
    this.#channels.delete(lease.token);
    const callback = finalCallback({ lease, workerId, nowMs: nowMs(), startedAtMs: facts.startedAtMs }, settlement);
    const entry: OutboxEntry = {
      source: source.name,
      lease: { jobId: lease.jobId, token: lease.token, attempt: lease.attempt },
      bucket: bucketOf(lease.job),
      userId: lease.job.user_id,
      settlement: settlement.kind === "fail" ? { kind: "fail", error: settlement.error } : { kind: settlement.kind },
      files: settlement.kind === "complete" ? [...settlement.assets] : [],
      callback,
      workFolder: facts.workFolder,
    };
    // The wait for the disk is a millisecond in which this process does nothing else: spent on files, and on long work.
    const isLong = facts.startedAtMs !== null && nowMs() - facts.startedAtMs > longWorkMs;
    this.#enqueue(await this.#record(entry, entry.files.length > 0 || isLong));
  }

  /** Until it is written down, the result is only in this process: a disk that is full for a moment must not cost it. */
  async #record(entry: OutboxEntry, durably: boolean): Promise<OutboxRow> {
    for (let tries = 1; ; tries++) {
      try {
        return await this.#options.outbox.record(entry, durably);
      } catch (error) {
        if (this.#stopping.signal.aborted || tries >= recordTries) throw error;
        const delaySeconds = retryDelaySeconds(
          tries,
          retryPauses.baseSeconds,
          retryPauses.maxSeconds,
          this.#options.random,
        );
        const fields = { job_id: entry.lease.jobId, attempt: entry.lease.attempt, next_try_in_seconds: delaySeconds };
        this.#options.log.error({ ...fields, error }, "a finished job cannot be recorded; trying again");
        await pause(delaySeconds * 1000, undefined, { signal: this.#stopping.signal }).catch(() => undefined);
      }
    }
  }

  /** Rows that are not delivered yet, in this data folder. */
  get pending(): number {
    return this.#options.outbox.count();
  }

  /** Resolves when everything that is due has been tried, or after `limitMs`; what is left stays in the outbox. */
  async drain(limitMs: number): Promise<void> {
    await within(limitMs, this.#queue.onIdle());
  }

  async stop(limitMs: number): Promise<void> {
    if (this.#sweep) clearInterval(this.#sweep);
    await this.drain(limitMs);
    this.#stopping.abort();
    this.#queue.clear();
    const channels = [...this.#channels.values()].map((channel) => channel.close());
    await within(abortLimitMs, Promise.all([...channels, this.#queue.onIdle()]));
    for (const release of this.#holds.values()) release();
    await this.#options.outbox.releaseClaims();
  }

  async #sweepOnce(): Promise<void> {
    try {
      // At rest the sweep reads one number and writes nothing.
      if (this.#options.outbox.count() === 0) return;
      if (this.#active.size > 0) await this.#options.outbox.renewClaims();
    } catch (error) {
      this.#options.log.error({ error }, "outbox claims could not be renewed; trying again");
    }
    await this.#claimDue();
  }

  async #claimDue(): Promise<void> {
    if (this.#stopping.signal.aborted) return;
    try {
      for (const row of await this.#options.outbox.claimDue(this.#active))
        if (!this.#active.has(row.id)) this.#enqueue(row);
    } catch (error) {
      this.#options.log.error({ error }, "the outbox cannot be read; trying again");
    }
  }

  #enqueue(row: OutboxRow): void {
    this.#active.add(row.id);
    this.#holdLease(row.entry);
    void this.#queue.add(async () => {
      try {
        await this.#deliver(row);
      } catch (error) {
        // Not even the failure could be written down; the row is as it was and the next sweep takes it up again.
        this.#options.log.error({ error, job_id: row.entry.lease.jobId }, "the outbox cannot be written; trying again");
      } finally {
        this.#active.delete(row.id);
      }
    });
  }

  async #deliver(row: OutboxRow): Promise<void> {
    const { outbox, log, metrics, random } = this.#options;
    const fields = { job_id: row.entry.lease.jobId, attempt: row.entry.lease.attempt };
    try {
      if (this.#stopping.signal.aborted) return;
      const outcome = await this.#steps(row);
      await this.#discard(row);
      if (outcome === "lost") {
        metrics.leasesLost.add({ source: row.entry.source });
        log.warn(fields, "a finished attempt is dropped: another worker has the job");
        return;
      }
      this.#emitEnd(row.entry);
      log.info(
        { ...fields, status: row.entry.callback.status, files: row.entry.files.length },
        "job delivered and settled",
      );
    } catch (error) {
      const delaySeconds = retryDelaySeconds(row.tries + 1, retryPauses.baseSeconds, retryPauses.maxSeconds, random);
      log.warn({ ...fields, error, next_try_in_seconds: delaySeconds }, "delivery failed; it will be tried again");
      await outbox.postpone(row.id, delaySeconds * 1000);
      setTimeout(() => void this.#claimDue(), delaySeconds * 1000 + 5).unref();
    }
  }

  /** Each step that is not done yet, in order. */
  async #steps(row: OutboxRow): Promise<SettleOutcome> {
    const { outbox } = this.#options;
    const { entry } = row;
    const source = this.#options.sources.get(entry.source);
    if (source === undefined)
      throw new Error(`The outbox holds a job of the source "${entry.source}", which is not configured here.`);
    if (!(await this.#isHeld(source, entry.lease))) return this.#settle(source, entry);
    if (!row.uploaded && entry.files.length > 0) {
      await this.#upload(entry);
      await outbox.markUploaded(row.id);
      // A long upload may have outlived the lease.
      if (!(await this.#isHeld(source, entry.lease))) return this.#settle(source, entry);
    }
    await this.#callBack(row);
    return this.#settle(source, entry);
  }

  /** Asks the source, unless it was asked a moment ago. */
  async #isHeld(source: JobSource, lease: LeaseKey): Promise<boolean> {
    if (this.#options.keepers.get(source.name)?.isFresh(lease)) return true;
    const [outcome] = await source.renew([{ lease }]);
    return outcome !== "lost";
  }

  async #upload(entry: OutboxEntry): Promise<void> {
    const job = { id: entry.lease.jobId, user_id: entry.userId };
    for (const file of entry.files) {
      const names = assetNames(file);
      await this.#put(entry, assetPath(job, names.main), file.file, file.mimeType);
      if (file.thumbnail && names.thumbnail !== null) {
        await this.#put(entry, assetPath(job, names.thumbnail), file.thumbnail.file, file.thumbnail.mimeType);
      }
    }
  }

  #put({ bucket, userId, lease: { jobId } }: OutboxEntry, path: string, file: string, mimeType: string): Promise<void> {
    return this.#options.store.put({ bucket, path, userId, jobId, file, mimeType }, this.#stopping.signal);
  }

  /** A callback that the app refuses for good, or that nobody took for a day, must not keep the job from settling. */
  async #callBack(row: OutboxRow): Promise<void> {
    const { callback, log, metrics, nowMs } = this.#options;
    try {
      await callback.send(row.entry.callback, this.#stopping.signal);
    } catch (error) {
      const tooLate = nowMs() - row.createdAtMs > callbackPatienceMs;
      if (!(error instanceof PermanentError) && !tooLate) throw error;
      metrics.alarms.add({ alarm: tooLate ? "callback_given_up" : "callback_refused" });
      log.error(
        { job_id: row.entry.lease.jobId, error },
        tooLate ? "the callback was not taken for 24 hours; giving it up" : "the callback is refused for good",
      );
    }
  }

  #settle(source: JobSource, entry: OutboxEntry): Promise<SettleOutcome> {
    const { settlement, lease } = entry;
    switch (settlement.kind) {
      case "complete":
        return source.complete(lease, { assets: entry.callback.assets, metadata: entry.callback.metadata });
      case "fail":
        return source.fail(lease, settlement.error);
      case "cancelled":
        return source.cancelled(lease);
    }
  }

  async #discard(row: OutboxRow): Promise<void> {
    await this.#options.outbox.remove(row.id);
    this.#holds.get(row.entry.lease.token)?.();
    this.#holds.delete(row.entry.lease.token);
    // A job that completed without files has no folder; one that did not complete may have left some in it.
    if (row.entry.settlement.kind === "complete" && row.entry.files.length === 0) return;
    await removeWork(row.entry.workFolder).catch((error: unknown) => {
      this.#options.log.warn({ error: toErrorReport(error) }, "a work folder could not be removed");
    });
  }

  #emitEnd(entry: OutboxEntry): void {
    const { settlement, lease, callback } = entry;
    const status = ({ complete: "completed", fail: "failed", cancelled: "cancelled" } as const)[settlement.kind];
    this.#options.metrics.jobs.add({ type: String(callback.metadata.job_type), outcome: status });
    this.#options.events.emit(lease.jobId, {
      kind: "state",
      status,
      attempt: lease.attempt,
      ...(settlement.kind === "fail" ? { error: settlement.error } : {}),
    });
  }

  /** A finished job keeps its lease until it is settled, however long the app's side is away. */
  #holdLease(entry: OutboxEntry): void {
    if (this.#holds.has(entry.lease.token)) return;
    const release = this.#options.keepers.get(entry.source)?.hold(entry.lease, {
      progress: () => 1,
      onCancel: () => undefined,
      onLost: () => undefined,
    });
    if (release) this.#holds.set(entry.lease.token, release);
  }
}
