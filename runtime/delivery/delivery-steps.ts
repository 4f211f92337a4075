import { type ErrorReport, type PermanentError, toErrorReport } from "#contract/errors.ts";
import type { Logger } from "#runtime/observe/log.ts";
import type { JobSource, SettleOutcome } from "#runtime/sources/job-source.ts";
import { refusedCallback } from "./callbacks/build-callback.ts";
import type { DeliveryGates } from "./delivery-gates.ts";
import type { EndConfirmations } from "./end-confirmations.ts";
import { becomesOf } from "./entry-end.ts";
import { fileRefusal } from "./file-refusal.ts";
import type { FinalReports } from "./final-reports.ts";
import type { LeaseHolds } from "./lease-holds.ts";
import type { Outbox } from "./outbox.ts";
import type { OutboxEntry } from "./outbox-entry.ts";
import { fieldsOf, type OutboxRow, stepOf } from "./outbox-row.ts";
import { putFiles } from "./put-files.ts";
import { resultOf, settleEntry } from "./settle-entry.ts";
import { filesIn, type StoredFiles } from "./stored-files.ts";
import type { AssetStore } from "./stores/asset-store.ts";

/*
 * What one row of the outbox goes through: upload → callback → settle, each step that is not done yet, in this order. The
 * webhook of a job has a row of its own, after that.
 *
 *   a result     lease held ──► files stored ──► reported ──► settled at its source
 *                    │ no           │ refused       ▲
 *                    ▼              ▼               │
 *                 dropped        made a failure's ──┘
 *   an end       reported ──► confirmed to its source     its source has brought it about
 *   a webhook    reported
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
  /** For sources that hand files over with a result. */
  readonly stored: StoredFiles;
  readonly sources: ReadonlyMap<string, JobSource>;
  readonly leases: LeaseHolds;
  readonly confirmations: EndConfirmations;
  readonly gates: DeliveryGates;
  readonly reports: FinalReports;
  readonly log: Logger;
  readonly nowMs: () => number;
}

export interface Delivered {
  readonly outcome: SettleOutcome;
  /** As it was delivered in the end. */
  readonly entry: OutboxEntry;
}

export class DeliverySteps {
  readonly #options: DeliveryStepsOptions;

  constructor(options: DeliveryStepsOptions) {
    this.#options = options;
  }

  /** @throws Postponed; whatever else failed, to be tried again */
  async run(row: OutboxRow, signal: AbortSignal): Promise<Delivered> {
    const { entry } = row;
    if (entry.ended) return this.#reportEnd(row, signal);
    const source = this.#options.sources.get(entry.source);
    if (source === undefined)
      throw new Error(`The outbox holds a job of the source "${entry.source}", which is not configured here.`);
    const { leases } = this.#options;
    if (!(await leases.isHeld(source, row))) return this.#drop(source, entry, signal);
    if (!needsUpload(row)) return this.#reportAndSettle(source, row, signal);
    const refusal = await this.#upload(row, signal);
    // A long upload may have outlived the lease, and a file may be gone because another process has delivered it.
    const isHeld = refusal === null ? await leases.isHeld(source, row) : await leases.isHeldNow(source, row);
    if (!isHeld) return this.#drop(source, entry, signal);
    if (refusal === null) return this.#reportAndSettle(source, row, signal);
    await this.#failInstead(row, toErrorReport(refusal), "the files of a finished job are refused for good");
    return this.#reportAndSettle(source, row, signal);
  }

  async #reportAndSettle(source: JobSource, row: OutboxRow, signal: AbortSignal): Promise<Delivered> {
    const { reports, outbox } = this.#options;
    if (!reports.isReported(row)) await this.#failIfRefused(source, row, signal);
    await reports.send(row, signal);
    if (mayBeRefused(source, row)) await outbox.markReported(row.id);
    return this.#settle(source, row.entry, signal);
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
    await this.#options.reports.send(row, signal);
    if (!row.entry.forWebhook) await this.#options.confirmations.confirm(row);
    return { outcome: becomesOf(row.entry), entry: row.entry };
  }

  /** Why the files can never be stored; null when they are. */
  async #upload(row: OutboxRow, signal: AbortSignal): Promise<PermanentError | null> {
    try {
      await this.#options.gates.through(row, () => putFiles(this.#options.store, row.entry, signal));
    } catch (error) {
      const refusal = await fileRefusal(error, row.entry);
      if (refusal === null) throw error;
      return refusal;
    }
    await this.#options.outbox.markUploaded(row.id);
    row.uploaded = true;
    return null;
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

function needsUpload(row: OutboxRow): boolean {
  return stepOf(row) === "files";
}
