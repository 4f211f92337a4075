import type { DeliveryNote } from "#contract/delivery-note.ts";
import { CodedError, type ErrorCode, type ErrorReport, toErrorReport } from "#contract/errors.ts";
import { becomesOf } from "./entry-end.ts";
import { type OutboxRow, stepOf, type UnreadableRow } from "./outbox-row.ts";

/*
 * What keeps the rows of this process from being delivered, by row, and what of it a person has to look at. Everything
 * is in memory: `/health` reads it.
 */
export interface Wait {
  readonly row: OutboxRow;
  /** Null when it is not known: the row waits for another one that is tried before it. */
  readonly error: ErrorReport | null;
  /** Since when it has waited for this very reason. */
  readonly sinceMs: number;
  readonly nextTryAtMs: number;
  /** Whether anything but the next try's moment differs from what was known of the row before. */
  readonly isNews: boolean;
}

/** What keeps deliveries up: until it is mended, or for longer than a moment. */
export interface DeliveryAlarm {
  readonly code: ErrorCode;
  readonly message: string;
  /** What cannot be done; "read" for rows that cannot even be read. */
  readonly step: DeliveryNote["step"] | "read";
  readonly sinceMs: number;
  readonly jobs: number;
  /** It does not pass by itself. */
  readonly needsMending: boolean;
}

/** Refusals of a store or an app that would take the row from a container with the right key or address. */
export const mendable: ReadonlySet<ErrorCode> = new Set(["STORAGE_REFUSED", "CALLBACK_REFUSED", "WEBHOOK_REFUSED"]);

/** A store or an app that does not answer is tried again, and may be back before anybody has looked. */
const alarmAfterMs = 60_000;
const maxMessage = 500;
/** A row that comes back so long before its time was made due by somebody else. */
const earlyMs = 500;

export class Waits {
  readonly #waits = new Map<number, Wait>();
  readonly #nowMs: () => number;

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  /** @param cause what keeps the row: its last try failed of it, or that of the one that goes before it */
  set(row: OutboxRow, cause: unknown, delayMs: number): Wait {
    const before = this.#waits.get(row.id);
    const error = cause === undefined ? (before?.error ?? null) : reportOf(cause);
    const isSame = before?.error?.code === error?.code;
    const nowMs = this.#nowMs();
    const sinceMs = isSame && before !== undefined ? before.sinceMs : nowMs;
    const isNews =
      !isSame || before === undefined || before.row.tries !== row.tries || before.row.uploaded !== row.uploaded;
    // The row changes when its files are stored.
    const wait = { row: { ...row }, error, sinceMs, nextTryAtMs: Math.ceil(nowMs + delayMs), isNews };
    this.#waits.set(row.id, wait);
    return wait;
  }

  delete(rowId: number): void {
    this.#waits.delete(rowId);
  }

  get isAny(): boolean {
    return this.#waits.size > 0;
  }

  /** They are tried now because this process wants it. */
  makeDue(): void {
    const nowMs = this.#nowMs();
    for (const [id, wait] of this.#waits)
      this.#waits.set(id, { ...wait, nextTryAtMs: Math.min(wait.nextTryAtMs, nowMs) });
  }

  /** Whether the row comes before its time: somebody on the same data folder has made it due, and wants it tried. */
  isEarly(rowId: number): boolean {
    return (this.#waits.get(rowId)?.nextTryAtMs ?? 0) - this.#nowMs() > earlyMs;
  }

  /** Forgets the rows that are gone: another process on the same data folder may have delivered them. */
  keep(rowIds: ReadonlySet<number>): void {
    for (const id of this.#waits.keys()) if (!rowIds.has(id)) this.#waits.delete(id);
  }

  /** The oldest first. */
  get alarms(): readonly DeliveryAlarm[] {
    return alarmsOf([...this.#waits.values()], this.#nowMs());
  }
}

type Waiting = Pick<Wait, "row" | "error" | "sinceMs">;

/** What keeps these rows, the oldest first. */
export function alarmsOf(waits: readonly Waiting[], nowMs: number): readonly DeliveryAlarm[] {
  const failed = waits.flatMap(({ error, ...wait }) => (error === null ? [] : { ...wait, error }));
  return [...Map.groupBy(failed, ({ error, row }) => `${error.code} ${stepOf(row)}`).values()]
    .map((same) => alarmOf(same))
    .filter(({ needsMending, sinceMs }) => needsMending || nowMs - sinceMs >= alarmAfterMs)
    .sort((one, other) => one.sinceMs - other.sinceMs);
}

function alarmOf(waits: readonly (Waiting & { readonly error: ErrorReport })[]): DeliveryAlarm {
  const first = waits.reduce((oldest, wait) => (wait.sinceMs < oldest.sinceMs ? wait : oldest));
  const { code, message } = first.error;
  const { sinceMs, row } = first;
  return { code, message, step: stepOf(row), sinceMs, jobs: waits.length, needsMending: mendable.has(code) };
}

/** None where every row can be read. */
export function unreadableAlarms(rows: readonly UnreadableRow[]): readonly DeliveryAlarm[] {
  if (rows.length === 0) return [];
  const what = rows.length === 1 ? "A result in the outbox" : `${rows.length} results in the outbox`;
  const message = `${what} cannot be read by this version: run the version that wrote what "ourvidz outbox" lists, or give it up by its row.`;
  const sinceMs = Math.min(...rows.map(({ createdAtMs }) => createdAtMs));
  return [{ code: "RESULT_UNREADABLE", message, step: "read", sinceMs, jobs: rows.length, needsMending: true }];
}

function reportOf(cause: unknown): ErrorReport {
  const { code, message } = toErrorReport(cause);
  return { code, message: message.slice(0, maxMessage) };
}

/** What the row's job says at its source of the wait. */
export function noteOf({ row, error, nextTryAtMs }: Pick<Wait, "row" | "error" | "nextTryAtMs">): DeliveryNote {
  return {
    becomes: becomesOf(row.entry),
    step: stepOf(row),
    since: new Date(row.createdAtMs).toISOString(),
    tries: row.tries,
    error,
    next_try_at: new Date(nextTryAtMs).toISOString(),
  };
}

export function isMendable(error: unknown): boolean {
  return error instanceof CodedError && mendable.has(error.code);
}
