import type { JobSource } from "#runtime/sources/job-source.ts";
import type { OutboxRow } from "./outbox-row.ts";

/*
 * An end that its source has brought about, as of a job that was cancelled while it waited, is in two places until the source
 * hears that it is in the outbox: until then the source answers it again, to a container that may not know of this row.
 *
 * Whoever wrote the end down confirms it at once, for many in one call. That may fail, or the process may die before it: so the
 * row is kept until it is certain, and its delivery confirms what nobody has confirmed.
 */
export interface EndConfirmation {
  /** Whether who wrote the end down could confirm it. */
  readonly confirmed?: Promise<boolean>;
  /** Called once: its row is gone, because the source has heard of it, or is another process's. */
  readonly onGone?: () => void;
}

export class EndConfirmations {
  readonly #sources: ReadonlyMap<string, JobSource>;
  /** By row. */
  readonly #underWay = new Map<number, EndConfirmation>();

  constructor(sources: ReadonlyMap<string, JobSource>) {
    this.#sources = sources;
  }

  expect(rowId: number, confirmation: EndConfirmation): void {
    this.#underWay.set(rowId, confirmation);
  }

  /** When the promise resolves the source has heard of it. @throws as `JobSource.reported` does */
  async confirm({ id, entry: { source, lease } }: OutboxRow): Promise<void> {
    if (await this.#underWay.get(id)?.confirmed) return;
    await this.#sources.get(source)?.reported([lease]);
  }

  /** The row is gone, or another process's. */
  forget(rowId: number): void {
    this.#underWay.get(rowId)?.onGone?.();
    this.#underWay.delete(rowId);
  }
}
