import { type ErrorReport, PermanentError, toErrorReport } from "#contract/errors.ts";
import type { LeaseKeeper } from "#runtime/dispatch/lease-keeper.ts";
import { emulatedType } from "#runtime/endpoints/endpoint-job.ts";
import type { Logger } from "#runtime/observe/log.ts";
import type { Metrics } from "#runtime/observe/metrics/metrics.ts";
import { recordFailure } from "#runtime/observe/metrics/ports.ts";
import { traceparentOf } from "#runtime/observe/tracing/traceparent.ts";
import type { JobSource, SettleOutcome } from "#runtime/sources/job-source.ts";
import { assetNames, assetPath, refusedCallback } from "./callbacks/build-callback.ts";
import type { Callback } from "./callbacks/callback.ts";
import { type DeliveryGates, Postponed } from "./delivery-gates.ts";
import type { EndConfirmations } from "./end-confirmations.ts";
import { becomesOf } from "./entry-end.ts";
import { fileRefusal } from "./file-refusal.ts";
import type { Outbox } from "./outbox.ts";
import type { OutboxEntry } from "./outbox-entry.ts";
import { fieldsOf, type OutboxRow, stepOf } from "./outbox-row.ts";
import { resultOf, settleEntry } from "./settle-entry.ts";
import { filesIn, type StoredFiles } from "./stored-files.ts";
import type { AssetStore } from "./stores/asset-store.ts";
import type { Webhook } from "./webhooks/webhook.ts";
import { sendWebhook } from "./webhooks/webhook-row.ts";

/*
 * What one row of the outbox goes through: upload → callback → settle, each step that is not done yet, in this order. The
 * webhook of a job has a row of its own, after that.
 *
 * Before anything leaves, the lease is confirmed: who does not hold it any more delivers nothing. One that is gone because
 * an earlier settling was applied, though its answer was lost, is recognised by repeating that settling.
 *
 * A job whose files the store never takes, or whose result its source refuses, ends as failed: the row is rewritten first, so
 * that no crash makes it a completed one again. From its callback on it has no other end: a source that could refuse it then is
 * not queried again. What failed after the callback is tried again without it: a source that is away for an hour makes no app hear
 * of an end for an hour.
 */
export interface DeliveryStepsOptions {
  readonly outbox: Outbox;
  readonly store: AssetStore;
  readonly callback: Callback;
  readonly webhook: Pick<Webhook, "send" | "sendBody">;
  /** For sources that hand files over with a result. */
  readonly stored: StoredFiles;
  readonly sources: ReadonlyMap<string, JobSource>;
  readonly keepers: ReadonlyMap<string, LeaseKeeper>;
  readonly confirmations: EndConfirmations;
  readonly gates: DeliveryGates;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly nowMs: () => number;
  /** Resolves when no progress of the job's run, or of one before it, is on its way any more, and lets none follow. */
  progressSent(lease: OutboxEntry["lease"]): Promise<void>;
}

export interface Delivered {
  readonly outcome: SettleOutcome;
  /** As it was delivered in the end. */
  readonly entry: OutboxEntry;
}

const callbackLimitMs = 24 * 60 * 60 * 1000;

export class DeliverySteps {
  readonly #options: DeliveryStepsOptions;
  /** Rows whose callbacks were taken, or given up: also while the disk that would say so is full. */
  readonly #reported = new Set<number>();

  constructor(options: DeliveryStepsOptions) {
    this.#options = options;
  }

  /** The row is gone, or another process's. */
  forget(rowId: number): void {
    this.#reported.delete(rowId);
  }

  /** Whether what is left of the row goes past the gates: nobody is asked any more, or it is given up without being tried. */
  needsNobody(row: OutboxRow): boolean {
    return this.#isReported(row) || (!needsUpload(row) && (isOfNoApp(row) || this.#isGivenUp(row)));
  }

  /** @throws Postponed; whatever else failed, to be tried again */
  async run(row: OutboxRow, signal: AbortSignal): Promise<Delivered> {
    const { entry } = row;
    if (entry.ended) return this.#reportEnd(row, signal);
    const source = this.#options.sources.get(entry.source);
    if (source === undefined)
      throw new Error(`The outbox holds a job of the source "${entry.source}", which is not configured here.`);
    if (!(await this.#isHeld(source, row))) return this.#drop(source, entry, signal);
    if (!needsUpload(row)) return this.#reportAndSettle(source, row, signal);
    const refusal = await this.#upload(row, signal);
    // A long upload may have outlived the lease, and a file may be gone because another process has delivered it.
    const isHeld = refusal === null ? await this.#isHeld(source, row) : await this.#isHeldNow(source, row);
    if (!isHeld) return this.#drop(source, entry, signal);
    if (refusal === null) return this.#reportAndSettle(source, row, signal);
    await this.#failInstead(row, toErrorReport(refusal), "the files of a finished job are refused for good");
    return this.#reportAndSettle(source, row, signal);
  }

  async #reportAndSettle(source: JobSource, row: OutboxRow, signal: AbortSignal): Promise<Delivered> {
    if (!this.#isReported(row)) {
      await this.#failIfRefused(source, row, signal);
      await this.#callBack(row, signal);
    }
    if (mayBeRefused(source, row)) await this.#options.outbox.markReported(row.id);
    return this.#settle(source, row.entry, signal);
  }

  #isReported(row: OutboxRow): boolean {
    return row.reported || this.#reported.has(row.id);
  }

  /** Makes the row a failure where the source can never hand its result over. */
  async #failIfRefused(source: JobSource, row: OutboxRow, signal: AbortSignal): Promise<void> {
    const { entry } = row;
    if (source.refusalOf === undefined || !mayBeRefused(source, row)) return;
    const refusal = await source.refusalOf(
      entry.lease,
      resultOf(entry),
      filesIn(this.#options.stored, entry.bucket, signal),
    );
    if (refusal !== null) await this.#failInstead(row, refusal, "the result of a finished job is refused");
  }

  async #reportEnd(row: OutboxRow, signal: AbortSignal): Promise<Delivered> {
    if (!this.#isReported(row)) await this.#callBack(row, signal);
    if (!row.entry.forWebhook) await this.#options.confirmations.confirm(row);
    return { outcome: becomesOf(row.entry), entry: row.entry };
  }

  /** Queries the source, unless that was done a moment ago. */
  async #isHeld(source: JobSource, row: OutboxRow): Promise<boolean> {
    return this.#options.keepers.get(source.name)?.isFresh(row.entry.lease) === true || this.#isHeldNow(source, row);
  }

  /** A job that its source has forgotten is nobody else's, unless it may have been settled, and removed, since. */
  async #isHeldNow(source: JobSource, { entry: { lease }, createdAtMs }: OutboxRow): Promise<boolean> {
    const [outcome] = await source.renew([{ lease }]);
    if (outcome !== "unknown") return outcome !== "lost";
    const { keepSeconds } = source;
    return keepSeconds === undefined || this.#options.nowMs() - createdAtMs < keepSeconds * 1000;
  }

  /** Why the files can never be stored; null when they are. */
  async #upload(row: OutboxRow, signal: AbortSignal): Promise<PermanentError | null> {
    try {
      await this.#options.gates.through(row, () => this.#putAll(row.entry, signal));
    } catch (error) {
      const refusal = await fileRefusal(error, row.entry);
      if (refusal === null) throw error;
      return refusal;
    }
    await this.#options.outbox.markUploaded(row.id);
    row.uploaded = true;
    return null;
  }

  async #putAll(entry: OutboxEntry, signal: AbortSignal): Promise<void> {
    const { bucket, userId, files } = entry;
    const { jobId } = entry.lease;
    const traceparent = traceparentOf(entry.callback.metadata);
    const put = (name: string, file: string, mimeType: string) => {
      const path = assetPath({ id: jobId, user_id: userId }, name);
      return this.#options.store.put({ bucket, path, userId, jobId, file, mimeType, traceparent }, signal);
    };
    for (const file of files) {
      const names = assetNames(file);
      await put(names.main, file.file, file.mimeType);
      if (file.thumbnail && names.thumbnail !== null)
        await put(names.thumbnail, file.thumbnail.file, file.thumbnail.mimeType);
    }
  }

  async #failInstead(row: OutboxRow, error: ErrorReport, what: string): Promise<void> {
    const { outbox, log, nowMs } = this.#options;
    log.error({ ...fieldsOf(row), error, kept_in: row.entry.workFolder }, what);
    const entry: OutboxEntry = {
      ...row.entry,
      settlement: { kind: "fail", error },
      files: [],
      callback: refusedCallback(row.entry.callback, error, nowMs()),
    };
    await outbox.replace(row.id, entry);
    row.entry = entry;
  }

  /** A callback that the app refuses for good, or that nobody took for a day, must not keep the job from settling. */
  async #callBack(row: OutboxRow, signal: AbortSignal): Promise<void> {
    const { log, metrics } = this.#options;
    const what = row.entry.forWebhook ? "webhook" : "callback";
    try {
      if (isOfNoApp(row)) await this.#options.progressSent(row.entry.lease);
      else await this.#options.gates.through(row, () => this.#notify(row, signal));
    } catch (error) {
      if (error instanceof PermanentError) log.error({ ...fieldsOf(row), error }, `the ${what} is refused for good`);
      else if (!this.#isGivenUp(row)) throw error;
      else {
        metrics.alarms.add({ alarm: `${what}_given_up` });
        log.error({ ...fieldsOf(row), error: causeOf(error) }, `the ${what} was not taken for 24 hours; giving it up`);
      }
    }
    row.reported = true;
    this.#reported.add(row.id);
  }

  async #notify({ entry }: OutboxRow, signal: AbortSignal): Promise<void> {
    const { callback, progressSent, metrics } = this.#options;
    if (!entry.forWebhook) {
      await progressSent(entry.lease);
      return callback.send(entry.callback, signal);
    }
    try {
      await sendWebhook(this.#options.webhook, entry, filesIn(this.#options.stored, entry.bucket, signal), signal);
    } catch (error) {
      if (!signal.aborted) recordFailure(metrics, "webhook", error);
      throw error;
    }
  }

  /**
   * An app that is away for a day has other worries; one that refuses the container is notified when that is mended. A webhook
   * is one job's own, and nobody's to mend after that. A person may have given it up before (`Outbox.giveUp`).
   */
  #isGivenUp(row: OutboxRow): boolean {
    if (this.#isReported(row)) return true;
    const isOld = this.#options.nowMs() - row.createdAtMs > callbackLimitMs;
    return isOld && (row.entry.forWebhook || !this.#options.gates.needsMending(row));
  }

  async #settle(source: JobSource, entry: OutboxEntry, signal: AbortSignal): Promise<Delivered> {
    return { outcome: await settleEntry(source, entry, filesIn(this.#options.stored, entry.bucket, signal)), entry };
  }

  /** The lease is gone: to another container, or because this very settling was applied and its answer was lost. */
  async #drop(source: JobSource, entry: OutboxEntry, signal: AbortSignal): Promise<Delivered> {
    const outcome = await settleEntry(source, entry, filesIn(this.#options.stored, entry.bucket, signal));
    return { outcome: outcome === "unknown" ? "lost" : outcome, entry };
  }
}

/** Only then a job can get another end than the recorded one after its files are stored. */
function mayBeRefused(source: JobSource, { entry }: OutboxRow): boolean {
  return entry.settlement.kind === "complete" && source.refusalOf !== undefined;
}

/** The end of an emulated endpoint's job: whether the app is there is of no matter to it. */
function isOfNoApp({ entry }: OutboxRow): boolean {
  return !entry.forWebhook && entry.callback.metadata.job_type === emulatedType;
}

function needsUpload(row: OutboxRow): boolean {
  return stepOf(row) === "files";
}

function causeOf(error: unknown): unknown {
  return error instanceof Postponed ? error.cause : error;
}
