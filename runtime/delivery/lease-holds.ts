import type { LeaseKeeper } from "#runtime/dispatch/lease-keeper.ts";
import type { Logger } from "#runtime/observe/log.ts";
import type { JobSource } from "#runtime/sources/job-source.ts";
import type { Outbox } from "./outbox.ts";
import type { OutboxEntry } from "./outbox-entry.ts";
import type { OutboxRow } from "./outbox-row.ts";

/*
 * A finished job keeps its lease until it is settled, however long the app's side is away: were it to run out, another
 * container would do the work again. An end that its source has brought about has no lease.
 *
 * Whoever works on a row holds the lease; the keeper of its source renews it meanwhile. A lease may be lost all the same, to a
 * container that took the job while this process was suspended or cut off: so it is confirmed before anything leaves.
 */
export interface LeaseHoldsOptions {
  readonly sources: ReadonlyMap<string, JobSource>;
  readonly keepers: ReadonlyMap<string, LeaseKeeper>;
  readonly log: Logger;
  readonly nowMs: () => number;
}

export class LeaseHolds {
  readonly #options: LeaseHoldsOptions;
  /** The way to let go of each, by its token. */
  readonly #releases = new Map<string, () => void>();

  constructor(options: LeaseHoldsOptions) {
    this.#options = options;
  }

  hold({ source, lease, ended }: OutboxEntry): void {
    if (ended || this.#releases.has(lease.token)) return;
    const release = this.#options.keepers.get(source)?.hold(lease, {
      progress: () => 1,
      onCancel: () => undefined,
      onLost: () => undefined,
    });
    if (release) this.#releases.set(lease.token, release);
  }

  /**
   * Holds and renews those of all rows, as an earlier process left them: rows that are not due yet, or wait their turn, must not
   * lose their leases meanwhile. Never rejects.
   */
  async takeOver(outbox: Pick<Outbox, "all">): Promise<void> {
    try {
      const rows = await outbox.all();
      for (const { entry } of rows) this.hold(entry);
      const held = rows.filter(({ entry }) => !entry.ended);
      for (const [name, entries] of Map.groupBy(held, ({ entry }) => entry.source)) {
        await this.#options.sources.get(name)?.renew(entries.map(({ entry }) => ({ lease: entry.lease })));
      }
    } catch (error) {
      this.#options.log.warn({ error }, "the leases of finished jobs could not be renewed at the start");
    }
  }

  /** Whether nobody else has the job. Queries the source, unless that was done a moment ago. */
  async isHeld(source: JobSource, row: OutboxRow): Promise<boolean> {
    return this.#options.keepers.get(source.name)?.isFresh(row.entry.lease) === true || this.isHeldNow(source, row);
  }

  /** A job that its source has forgotten is nobody else's, unless it may have been settled, and removed, since. */
  async isHeldNow(source: JobSource, { entry: { lease }, createdAtMs }: OutboxRow): Promise<boolean> {
    const [outcome] = await source.renew([{ lease }]);
    if (outcome !== "unknown") return outcome !== "lost";
    const { keepSeconds } = source;
    return keepSeconds === undefined || this.#options.nowMs() - createdAtMs < keepSeconds * 1000;
  }

  release(token: string): void {
    this.#releases.get(token)?.();
    this.#releases.delete(token);
  }

  /** This process stops: the leases last as long as they were renewed for. */
  releaseAll(): void {
    for (const release of this.#releases.values()) release();
  }
}
