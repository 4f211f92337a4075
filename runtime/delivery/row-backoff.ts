import type { JobEvents } from "#runtime/dispatch/job-events.ts";
import type { Logger } from "#runtime/observe/log.ts";
import type { JobSource, LeaseKey } from "#runtime/sources/job-source.ts";
import { type GateWait, Postponed } from "./delivery-gates.ts";
import { NoteWriter } from "./note-writer.ts";
import type { Outbox, PostponedRow } from "./outbox.ts";
import { fieldsOf, type OutboxRow } from "./outbox-row.ts";
import { retryPauseMs } from "./retry-pause.ts";
import { type DeliveryAlarm, noteOf, type Wait, Waits } from "./waits.ts";

/*
 * Puts off what cannot be delivered now, until its next try: a row that has failed by itself keeps its own pauses, and one whose
 * receiver is away waits with the others that wait for the same. Of each it is written down when it is due, in the outbox, and why
 * it waits, for whoever looks: here, at its source, and in the job's events.
 */
export interface RowBackoffOptions {
  readonly outbox: Pick<Outbox, "postpone">;
  readonly sources: ReadonlyMap<string, JobSource>;
  readonly events: JobEvents;
  readonly log: Logger;
  readonly nowMs: () => number;
  readonly random: () => number;
  /** Rows that were put off are due. */
  onDue(): void;
}

/** So that a row is due when it is looked for. */
const lateMs = 5;

export class RowBackoff {
  readonly #options: RowBackoffOptions;
  readonly #waits: Waits;
  readonly #notes: NoteWriter;
  #look: NodeJS.Timeout | null = null;
  #lookAtMs = 0;

  constructor(options: RowBackoffOptions) {
    this.#options = options;
    this.#waits = new Waits(options.nowMs);
    this.#notes = new NoteWriter(options);
  }

  /** What keeps rows, and a person has to look at: the oldest first. */
  get alarms(): readonly DeliveryAlarm[] {
    return this.#waits.alarms;
  }

  get isAny(): boolean {
    return this.#waits.isAny;
  }

  /** Rows that are not to be tried now: those before them find out whether what they need is back. */
  async wait(waiting: readonly { readonly row: OutboxRow; readonly wait: GateWait }[]): Promise<void> {
    if (waiting.length === 0) return;
    const postponed = waiting.map(({ row, wait: { waitMs, reason } }): PostponedRow => {
      const { error } = this.#note(row, reason, waitMs);
      return { id: row.id, delayMs: waitMs, error, wasTried: false, wasReported: row.reported };
    });
    await this.#options.outbox.postpone(postponed);
    this.#lookAgainIn(postponed.reduce((least, { delayMs }) => Math.min(least, delayMs), Number.POSITIVE_INFINITY));
  }

  /** Until the row's next try, after this one. */
  failed(row: OutboxRow, error: unknown): Promise<void> {
    return error instanceof Postponed ? this.#waitWithOthers(row, error) : this.#waitAlone(row, error);
  }

  async #waitWithOthers(row: OutboxRow, { waitMs, gate, wasTried, cause }: Postponed): Promise<void> {
    const { outbox, log } = this.#options;
    const fields = fieldsOf(row);
    if (wasTried) log.warn({ ...fields, error: cause, next_try_in_seconds: waitMs / 1000 }, "delivery failed");
    // It may have opened since.
    const delayMs = gate.isClosed ? waitMs : 0;
    const { error } = wasTried ? this.#note(tried(row), cause, delayMs) : this.#note(row, gate.reason, delayMs);
    await outbox.postpone([{ id: row.id, delayMs, error, wasTried, wasReported: row.reported }]);
    this.#lookAgainIn(delayMs);
  }

  async #waitAlone(row: OutboxRow, cause: unknown): Promise<void> {
    const { outbox, log, random, onDue } = this.#options;
    const delayMs = retryPauseMs(row.tries + 1, random);
    const fields = { ...fieldsOf(row), error: cause, next_try_in_seconds: delayMs / 1000 };
    log.warn(fields, "delivery failed; it will be tried again");
    const { error } = this.#note(tried(row), cause, delayMs);
    await outbox.postpone([{ id: row.id, delayMs, error, wasTried: true, wasReported: row.reported }]);
    setTimeout(onDue, delayMs + lateMs).unref();
  }

  #note(row: OutboxRow, cause: unknown, delayMs: number): Wait {
    const wait = this.#waits.set(row, cause, delayMs);
    // Hundreds that wait for the same are tried one by one: the others have nothing to say meanwhile.
    if (!wait.isNews) return wait;
    const note = noteOf(wait);
    this.#notes.set(row.entry, note);
    if (!row.entry.ended) this.#options.events.emit(row.entry.lease.jobId, { kind: "delivery", note });
    return wait;
  }

  /** Looks for due rows then, unless it does so before. */
  #lookAgainIn(delayMs: number): void {
    const atMs = performance.now() + delayMs;
    if (this.#look !== null && this.#lookAtMs <= atMs) return;
    this.stopLooking();
    this.#lookAtMs = atMs;
    this.#look = setTimeout(() => {
      this.#look = null;
      this.#options.onDue();
    }, delayMs + lateMs).unref();
  }

  /** They are tried now because this process wants it. */
  makeDue(): void {
    this.#waits.makeDue();
  }

  /** Whether the row comes before its time: somebody on the same data folder wants it tried. */
  isEarly(rowId: number): boolean {
    return this.#waits.isEarly(rowId);
  }

  /** Forgets the rows that are gone. */
  keep(rowIds: ReadonlySet<number>): void {
    this.#waits.keep(rowIds);
  }

  /** This process has delivered it: its source needs no note of it any more. */
  delivered(lease: LeaseKey): void {
    this.#notes.delete(lease);
  }

  /** The row is gone, or another process's. */
  forget(rowId: number): void {
    this.#waits.delete(rowId);
  }

  stopLooking(): void {
    if (this.#look !== null) clearTimeout(this.#look);
    this.#look = null;
  }

  close(): void {
    this.stopLooking();
    this.#notes.close();
  }
}

/** The row with one more try that failed. */
function tried(row: OutboxRow): OutboxRow {
  return { ...row, tries: row.tries + 1 };
}
