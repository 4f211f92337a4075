import { emulatedType } from "#runtime/endpoints/endpoint-job.ts";
import type { Database } from "#runtime/lib/database/database.ts";
import type { OutboxEntry } from "./outbox-entry.ts";
import type { OutboxRow, UnreadableRow } from "./outbox-row.ts";
import type { OutboxStatements } from "./outbox-statements.ts";

/*
 * Several processes may share a data folder. One works on a row, that which has claimed it:
 *
 *   free ──recorded by a process, or due and found by one──► claimed, until a moment that is renewed
 *     ▲                                                         │
 *     └──released, or not renewed in time: the process is dead, or was suspended
 *
 * A claim lasts half a lease, ten seconds at the most, so the rows of a dead process are free again before its leases run out. One
 * that was suspended may find its row claimed, and delivered, by another: it asks `isClaimed` before it goes on.
 */
export interface ClaimOptions {
  /** Unique to this process, so that its claims are not taken for those of one that died. */
  readonly owner: string;
  readonly nowMs: () => number;
  /** How long a claim lasts without being renewed. */
  readonly claimMs?: number;
  /** An emulator's: others leave webhooks of emulated endpoints to it for a day, as they send nothing to this machine. */
  readonly sendsEmulated?: boolean;
  /** Called once for each row that is due and cannot be read. */
  readonly onUnreadable?: (row: UnreadableRow) => void;
}

const dayMs = 24 * 60 * 60 * 1000;
const maxClaimMs = 10_000;
/** What is claimed in one turn of the event loop: so many rows, more than one of them only up to so many bytes of entries. */
const batchLimits = { rows: 100, bytes: 1_000_000 };

/** How long a claim lasts without being renewed: the rows of a process that died are free again before its leases run out. */
export function claimMsFor(leaseSeconds: number): number {
  return Math.min(maxClaimMs, (leaseSeconds * 1000) / 2);
}

export class OutboxClaims {
  readonly #database: Database;
  readonly #statements: OutboxStatements;
  readonly #options: ClaimOptions;
  readonly claimMs: number;
  readonly #unreadable = new Map<number, UnreadableRow>();

  constructor(database: Database, statements: OutboxStatements, options: ClaimOptions) {
    this.#database = database;
    this.#statements = statements;
    this.#options = options;
    this.claimMs = options.claimMs ?? maxClaimMs;
  }

  get owner(): string {
    return this.#options.owner;
  }

  /** Whose a row is that is recorded now, and until when: nobody's where it is left to others. */
  ofNew(entry: OutboxEntry, nowMs: number): { readonly claimedBy: string | null; readonly until: number } {
    if (this.leaves(entry)) return { claimedBy: null, until: nowMs };
    return { claimedBy: this.owner, until: nowMs + this.claimMs };
  }

  /** Whether it is an emulator's to deliver, which this process is not. */
  leaves(entry: OutboxEntry): boolean {
    return isForEmulator(entry) && this.#options.sendsEmulated !== true;
  }

  /** Those that were due here and that this version cannot read. */
  get unreadable(): readonly UnreadableRow[] {
    return [...this.#unreadable.values()];
  }

  /** Forgets those that cannot be read and are gone: given up, or delivered by the version that wrote them. */
  keepUnreadable(rowIds: ReadonlySet<number>): void {
    for (const id of this.#unreadable.keys()) if (!rowIds.has(id)) this.#unreadable.delete(id);
  }

  /** It has been written anew. */
  nowReadable(id: number): void {
    this.#unreadable.delete(id);
  }

  /**
   * Claims every row that is due and that no live process works on, but for those in `except`, which may change meanwhile: the
   * oldest first, in batches between which the caller may let the event loop have a turn. What cannot be read is left to the version that wrote it.
   */
  async *claimDue(except: ReadonlySet<number>): AsyncGenerator<OutboxRow[]> {
    const { owner, nowMs, sendsEmulated } = this.#options;
    const now = nowMs();
    const due = this.#statements.claimable
      .all({ now, owner, emulated: sendsEmulated === true ? now : now - dayMs })
      .filter(({ id }) => !except.has(id) && !this.#unreadable.has(id));
    for (const batch of batchesOf(due)) {
      yield await this.#database.writeSoon(() =>
        batch.flatMap(({ id }) => (except.has(id) ? [] : (this.#claim(id) ?? []))),
      );
    }
  }

  /** Null for one that cannot be read, and for one that is not due any more. */
  #claim(id: number): OutboxRow | null {
    const { owner, nowMs } = this.#options;
    const now = nowMs();
    const row = this.#statements.readDue.get({ id, now, owner });
    if (row === null) this.#noteUnreadable(id);
    if (row === null || row === undefined) return null;
    this.#statements.claim.run({ id, owner, until: now + this.claimMs });
    return row;
  }

  #noteUnreadable(id: number): void {
    const row = this.#statements.unreadableOne.get({ id }) ?? null;
    if (row === null) return;
    this.#unreadable.set(id, row);
    this.#options.onUnreadable?.(row);
  }

  /** Whether the row is still there, and this process's: one that was suspended may find it claimed, and delivered, by another. */
  isClaimed(id: number): boolean {
    return this.#statements.claimed.get({ id, owner: this.#options.owner }) !== undefined;
  }

  /** Keeps this process's claims; call it well within `claimMs`. */
  async renew(): Promise<void> {
    const until = this.#options.nowMs() + this.claimMs;
    await this.#database.writeSoon(() => this.#statements.renew.run({ owner: this.#options.owner, until }));
  }

  /** Lets other processes have the rows at once. */
  async release(): Promise<void> {
    await this.#database.writeSoon(() => this.#statements.renew.run({ owner: this.#options.owner, until: 0 }));
  }
}

export function isForEmulator({ forWebhook, callback }: OutboxEntry): boolean {
  return forWebhook && callback.metadata.job_type === emulatedType;
}

function batchesOf<Row extends { readonly bytes: number }>(rows: readonly Row[]): Row[][] {
  const batches: Row[][] = [];
  let batch: Row[] = [];
  let bytes = 0;
  for (const row of rows) {
    const isFull = batch.length === batchLimits.rows || bytes + row.bytes > batchLimits.bytes;
    if (batch.length === 0 || isFull) {
      batch = [];
      bytes = 0;
      batches.push(batch);
    }
    batch.push(row);
    bytes += row.bytes;
  }
  return batches;
}
