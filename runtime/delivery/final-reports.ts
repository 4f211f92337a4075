import { PermanentError } from "#contract/errors.ts";
import { emulatedType } from "#runtime/endpoints/endpoint-job.ts";
import type { Logger } from "#runtime/observe/log.ts";
import type { Metrics } from "#runtime/observe/metrics/metrics.ts";
import { recordFailure } from "#runtime/observe/metrics/ports.ts";
import type { Callback } from "./callbacks/callback.ts";
import { type DeliveryGates, Postponed } from "./delivery-gates.ts";
import type { Outbox } from "./outbox.ts";
import type { OutboxEntry } from "./outbox-entry.ts";
import { fieldsOf, type OutboxRow, stepOf } from "./outbox-row.ts";
import { filesIn, type StoredFiles } from "./stored-files.ts";
import type { Webhook } from "./webhooks/webhook.ts";
import { sendWebhook } from "./webhooks/webhook-row.ts";

/*
 * The end of a job is reported to the app, or in a row of its own to the receiver of a webhook, until that is settled one way or
 * another:
 *
 *   to be reported ──► taken ───────────────────────────────────────────► reported
 *          ▲  │  └───► refused for good, not taken for a day, or given up ► reported: a job must not wait for its end for ever
 *          └──┘ the receiver is away, or refuses the container
 *
 * A row that is reported stays so: whatever fails after it is tried again without it.
 */
export interface FinalReportsOptions {
  /** That of the rows. */
  readonly outbox: Pick<Outbox, "payloadOf">;
  readonly callback: Callback;
  readonly webhook: Pick<Webhook, "send" | "sendBody">;
  /** For webhooks that name the files. */
  readonly stored: StoredFiles;
  readonly gates: DeliveryGates;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly nowMs: () => number;
  /** Resolves when no progress of the job's run, or of one before it, is on its way any more, and lets none follow. */
  progressSent(lease: OutboxEntry["lease"]): Promise<void>;
}

const limitMs = 24 * 60 * 60 * 1000;

export class FinalReports {
  readonly #options: FinalReportsOptions;
  /** Rows that are reported: also while the disk that would say so is full. */
  readonly #reported = new Set<number>();

  constructor(options: FinalReportsOptions) {
    this.#options = options;
  }

  isReported(row: OutboxRow): boolean {
    return row.reported || this.#reported.has(row.id);
  }

  /** Whether what is left of the row goes past the gates: nobody is asked any more, or it is given up without being tried. */
  needsNobody(row: OutboxRow): boolean {
    return this.isReported(row) || (stepOf(row) !== "files" && (isOfNoApp(row) || this.#isGivenUp(row)));
  }

  /** The row is gone, or another process's. */
  forget(rowId: number): void {
    this.#reported.delete(rowId);
  }

  /**
   * Reports the row's end, unless it is reported. When the promise resolves it is.
   * @throws Postponed; whatever else failed, to be tried again
   */
  async send(row: OutboxRow, signal: AbortSignal): Promise<void> {
    if (this.isReported(row)) return;
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

  async #notify(row: OutboxRow, signal: AbortSignal): Promise<void> {
    const { callback, progressSent, metrics, outbox, webhook, stored } = this.#options;
    const { entry } = row;
    if (!entry.forWebhook) {
      await progressSent(entry.lease);
      return callback.send(entry.callback, signal);
    }
    try {
      await sendWebhook(webhook, outbox, row, filesIn(stored, entry.bucket, signal), signal);
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
    if (this.isReported(row)) return true;
    const isOld = this.#options.nowMs() - row.createdAtMs > limitMs;
    return isOld && (row.entry.forWebhook || !this.#options.gates.needsMending(row));
  }
}

/** The end of an emulated endpoint's job: whether the app is there is of no matter to it. */
function isOfNoApp({ entry }: OutboxRow): boolean {
  return !entry.forWebhook && entry.callback.metadata.job_type === emulatedType;
}

function causeOf(error: unknown): unknown {
  return error instanceof Postponed ? error.cause : error;
}
