import { randomUUID } from "node:crypto";
import { setImmediate as nextTurn } from "node:timers/promises";
import type { ErrorReport } from "#contract/errors.ts";
import type { Database } from "#runtime/lib/database/database.ts";
import type { Logger } from "#runtime/observe/log.ts";
import { type ClaimOptions, claimMsFor, isForEmulator, OutboxClaims } from "./outbox-claims.ts";
import { keyOf, type NewEntry, type OutboxEntry } from "./outbox-entry.ts";
import { OutboxPayloads } from "./outbox-payloads.ts";
import { type ListedRow, type OutboxRow, rowName, stepOf, type UnreadableRow } from "./outbox-row.ts";
import { type OutboxStatements, prepareOutbox } from "./outbox-statements.ts";
import type { WebhookPayload } from "./webhooks/endpoint-webhook.ts";

/*
 * Finished work that still has to be delivered: one row from the moment that a job's result is on disk until it is
 * settled. A row remembers that its files are uploaded, so that a process that takes it over does not send a video twice,
 * and that the app has its callback, after which the job has no other end any more. A repeated callback or settling does no harm.
 * Several processes may share the file: which of them works on a row is in outbox-claims.ts.
 *
 * Only the recording waits for the disk, where it protects more than it costs: whatever else a power cut takes is done again from the row.
 */
export interface PostponedRow {
  readonly id: number;
  readonly delayMs: number;
  /** Why its last try failed, or that of the one that it waits for; null leaves what is known. */
  readonly error: ErrorReport | null;
  readonly wasTried: boolean;
  /** Its callback was taken, or given up, whatever failed after that. */
  readonly wasReported: boolean;
}

/** How many rows of a job were given up, and how many could not be. */
export interface GivenUp {
  readonly givenUp: number;
  readonly storing: number;
  readonly unreadable: number;
}

/** That of a data folder, for this process. */
export function openOutbox(
  database: Database,
  { workerId, leaseSeconds }: { readonly workerId: string; readonly leaseSeconds: number },
  log: Pick<Logger, "error">,
  { sendsEmulated = false } = {},
): Outbox {
  const owner = `${workerId}/${randomUUID()}`;
  const onUnreadable = ({ id, jobId }: UnreadableRow) =>
    log.error(
      { row: rowName(id), job_id: jobId },
      "a row of the outbox cannot be read and is not delivered: run the version that wrote it",
    );
  return new Outbox(database, {
    owner,
    nowMs: Date.now,
    claimMs: claimMsFor(leaseSeconds),
    onUnreadable,
    sendsEmulated,
  });
}

/** An entry may have a hundred kilobytes. */
const rowsOnPage = 50;

export class Outbox {
  readonly #database: Database;
  readonly #statements: OutboxStatements;
  readonly #payloads: OutboxPayloads;
  readonly #nowMs: () => number;
  readonly claims: OutboxClaims;

  constructor(database: Database, options: ClaimOptions) {
    this.#database = database;
    this.#statements = prepareOutbox(database);
    this.#payloads = new OutboxPayloads(database);
    this.#nowMs = options.nowMs;
    this.claims = new OutboxClaims(database, this.#statements, options);
  }

  /**
   * Stores the entry, claimed by this process. A second record of the same lease changes nothing.
   * @param durably waits for the disk; without it a power cut, though no crash, may take the row, and the job is run again
   * @returns null when it was recorded before and another process works on it
   */
  async record(entry: NewEntry, durably: boolean): Promise<OutboxRow | null> {
    const insert = () => this.#insert(entry);
    return durably ? this.#database.write(insert) : this.#database.writeGrouped(insert);
  }

  /** Stores them all or none, as `record` does, on disk when the promise resolves. */
  recordAll(entries: readonly NewEntry[]): Promise<(OutboxRow | null)[]> {
    return this.#database.write(() => entries.map((entry) => this.#insert(entry)));
  }

  /** @param handedOn the number of what the row before it was to be sent */
  #insert({ payload, ...entry }: NewEntry, handedOn: number | null = null): OutboxRow | null {
    const now = this.#nowMs();
    const row = this.#statements.insert.get({
      ...{ token: keyOf(entry), forEmulator: isForEmulator(entry) ? 1 : 0, now, owner: this.claims.owner },
      ...this.claims.ofNew(entry, now),
    });
    if (row === undefined) throw new Error(`The outbox did not keep the entry of job ${entry.lease.jobId}.`);
    const { id, uploaded, reported, tries, isOwn, created_at_ms: createdAtMs } = row;
    const isNew = this.#statements.insertEntry.run({ id, entry: JSON.stringify(entry) }) > 0;
    const isKept = isOwn && !this.claims.leaves(entry);
    const earlier = isNew ? null : (this.#statements.read.get({ id }) ?? null);
    if (isNew || (isKept && earlier === null)) {
      if (payload !== undefined) this.#payloads.set(id, payload);
      else if (handedOn !== null && entry.endpoint !== undefined) this.#payloads.handOn(handedOn, id);
    }
    if (!isKept) return null;
    // The same end, in words that this version can read.
    if (!isNew && earlier === null) {
      this.#replace(id, entry);
      this.claims.nowReadable(id);
    }
    return { id, entry: earlier?.entry ?? entry, uploaded, reported, tries, createdAtMs };
  }

  /** What the webhook of an endpoint's row is sent. @throws when the row is gone, or is none */
  payloadOf(id: number): WebhookPayload {
    return this.#payloads.read(id);
  }

  async markUploaded(id: number): Promise<void> {
    await this.#database.writeGrouped(() => this.#statements.markUploaded.run({ id }));
  }

  async markReported(id: number): Promise<void> {
    await this.#database.writeGrouped(() => this.#statements.markReported.run({ id }));
  }

  /**
   * Nobody is notified of the job's end any more, by the rows that are there: they are settled, and removed, without it. Rows whose
   * files are still to be stored stay as they are: without them there is nothing that the job could have become. So do those that
   * cannot be read: who knows what is still to be done.
   * @returns how many there are of each
   */
  async giveUp(jobId: string): Promise<GivenUp> {
    const now = this.#nowMs();
    return this.#database.write(() => {
      const rows = this.#statements.ofJob.all({ job: jobId });
      const read = rows.filter((row) => row !== null);
      const stored = read.filter((row) => stepOf(row) !== "files");
      for (const { id } of stored) this.#statements.giveUp.run({ id, now });
      return {
        givenUp: stored.length,
        storing: read.length - stored.length,
        unreadable: rows.length - read.length,
      };
    });
  }

  /**
   * Removes a row that cannot be read, whatever it holds: the app hears nothing of that end, and a job that has not ended at its
   * source is done again.
   * @returns false where there is no such row, or a live process works on it
   */
  async removeUnreadable(id: number): Promise<boolean> {
    return this.#database.write(() => {
      if (this.#statements.read.get({ id }) !== null) return false;
      if (this.#statements.unclaimed.get({ id, now: this.#nowMs() }) === undefined) return false;
      this.#remove(id, []);
      return true;
    });
  }

  /** Another end than the one that was recorded, from here on: on disk when the promise resolves. */
  async replace(id: number, entry: OutboxEntry): Promise<void> {
    await this.#database.write(() => this.#replace(id, entry));
  }

  #replace(id: number, entry: OutboxEntry): void {
    this.#statements.replace.run({ id });
    this.#statements.replaceEntry.run({ id, entry: JSON.stringify(entry) });
  }

  /** Tries none of the rows before its time, and remembers why. */
  async postpone(rows: readonly PostponedRow[]): Promise<void> {
    const now = this.#nowMs();
    await this.#database.writeSoon(() => {
      for (const { id, delayMs, error, wasTried, wasReported } of rows)
        this.#statements.postpone.run({
          id,
          at: Math.ceil(now + delayMs),
          tries: wasTried ? 1 : 0,
          reported: wasReported ? 1 : 0,
          error: error === null ? null : JSON.stringify(error),
        });
    });
  }

  /** Every row is due now that no other live process works on. */
  async wake(): Promise<void> {
    const now = this.#nowMs();
    await this.#database.writeSoon(() => this.#statements.wake.run({ now, owner: this.claims.owner }));
  }

  /** Every row is due now, whoever works on it: for who looks on, and wants the process that delivers to try. */
  async wakeAll(): Promise<void> {
    const now = this.#nowMs();
    await this.#database.write(() => this.#statements.wakeAll.run({ now }));
  }

  async remove(id: number): Promise<void> {
    await this.removeFor(id, []);
  }

  /** Removes the row and stores others, as `record` does: never one without the other. They are sent what it was to be sent. */
  removeFor(id: number, next: readonly OutboxEntry[]): Promise<OutboxRow[]> {
    return this.#database.writeGrouped(() => this.#remove(id, next));
  }

  #remove(id: number, next: readonly OutboxEntry[]): OutboxRow[] {
    const payload = this.#statements.remove.get({ id })?.payload ?? null;
    const isUnsplit = payload === null && next.some(({ endpoint }) => endpoint !== undefined);
    const unsplit = isUnsplit ? this.#payloads.unsplit(id) : undefined;
    this.#statements.removeEntry.run({ id });
    const rows = next.map((entry) =>
      this.#insert(entry.endpoint && unsplit ? { ...entry, payload: unsplit } : entry, payload),
    );
    if (payload !== null) this.#payloads.remove(payload);
    return rows.filter((row) => row !== null);
  }

  ids(): number[] {
    return this.#statements.ids.all().map(({ id }) => id);
  }

  count(): number {
    return this.#statements.count.get()?.count ?? 0;
  }

  /** How much waits for its delivery, and for how long: 0 when nothing does. */
  backlog(): { readonly rows: number; readonly oldestSeconds: number } {
    const { count, oldest } = this.#statements.backlog.get() ?? { count: 0, oldest: null };
    const oldestMs = oldest === null ? 0 : Math.max(0, this.#nowMs() - oldest);
    return { rows: count, oldestSeconds: oldestMs / 1000 };
  }

  /** Of the rows that have waited longest, those that can be read. */
  oldest(limit: number): ListedRow[] {
    return this.#statements.oldest.all({ limit }).filter((row) => row !== null);
  }

  /** Of the rows that have waited longest, those that cannot be read. */
  unreadable(limit: number): UnreadableRow[] {
    return this.#statements.unreadable.all({ limit }).filter((row) => row !== null);
  }

  /**
   * Every row that can be read, also those that are not due and those that other processes work on, in pages between which the
   * event loop has a turn. A row that comes meanwhile may be missing.
   */
  async *pages(limit = rowsOnPage): AsyncGenerator<OutboxRow[]> {
    for await (const range of this.#ranges(limit))
      yield this.#statements.between.all({ ...range }).filter((row) => row !== null);
  }

  /** Where the files of every row are, in pages as those of `pages`: also of rows that cannot be read, where these say it. */
  async *workFolders(): AsyncGenerator<string[]> {
    for await (const range of this.#ranges(rowsOnPage)) {
      const folders = this.#statements.foldersBetween.all({ ...range });
      yield folders.flatMap(({ folder }) => (typeof folder === "string" ? [folder] : []));
    }
  }

  async *#ranges(limit: number): AsyncGenerator<{ readonly after: number; readonly last: number }> {
    for (let after: number | undefined = 0; after !== undefined; ) {
      const ids = this.#statements.idsAfter.all({ after, limit });
      const last = ids.at(-1)?.id;
      if (last !== undefined) yield { after, last };
      after = ids.length < limit ? undefined : last;
      await nextTurn();
    }
  }

  /** Every row of `pages`. */
  async all(): Promise<OutboxRow[]> {
    return (await Array.fromAsync(this.pages())).flat();
  }
}
