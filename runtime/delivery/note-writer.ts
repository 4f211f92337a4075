import type { DeliveryNote } from "#contract/delivery-note.ts";
import type { Logger } from "#runtime/observe/log.ts";
import type { JobSource, LeaseKey } from "#runtime/sources/job-source.ts";
import type { OutboxEntry } from "./outbox-entry.ts";

/*
 * Writes to the sources why finished jobs have not reached the app, so that every container can say it. A source may be
 * paid by the call: what is noted in the same moment goes in one, a wait that is over at once is not noted at all, and one more
 * try that failed of the same is written down from time to time.
 */
export interface NoteWriterOptions {
  readonly sources: ReadonlyMap<string, JobSource>;
  readonly log: Logger;
}

interface Noted {
  readonly source: string;
  readonly lease: LeaseKey;
  note: DeliveryNote;
  /** What is written, and when on the process's own clock. */
  written: { readonly note: DeliveryNote; readonly atMs: number } | null;
}

const firstAfterMs = 1500;
const againAfterMs = 15_000;

export class NoteWriter {
  readonly #options: NoteWriterOptions;
  readonly #notes = new Map<string, Noted>();
  #timer: NodeJS.Timeout | null = null;

  constructor(options: NoteWriterOptions) {
    this.#options = options;
  }

  set({ source, lease, ended }: OutboxEntry, note: DeliveryNote): void {
    // Its source knows the end already.
    if (ended) return;
    const noted = this.#notes.get(lease.token) ?? { source, lease, note, written: null };
    noted.note = note;
    this.#notes.set(lease.token, noted);
    this.#timer ??= setTimeout(() => void this.#write(), firstAfterMs).unref();
  }

  delete({ token }: LeaseKey): void {
    this.#notes.delete(token);
  }

  close(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#notes.clear();
  }

  async #write(): Promise<void> {
    const due = [...this.#notes.values()].filter(isDue);
    for (const [name, noted] of Map.groupBy(due, ({ source }) => source)) {
      const deliveries = noted.map(({ lease, note }) => ({ lease, note }));
      try {
        await this.#options.sources.get(name)?.noteDeliveries?.(deliveries);
      } catch (error) {
        this.#options.log.debug({ error, source: name }, "the state of deliveries could not be noted; trying again");
        continue;
      }
      for (const [place, each] of noted.entries()) {
        const { note } = deliveries[place] ?? each;
        each.written = { note, atMs: performance.now() };
      }
    }
    const isLeft = [...this.#notes.values()].some(({ note, written }) => note !== written?.note);
    this.#timer = isLeft ? setTimeout(() => void this.#write(), againAfterMs).unref() : null;
  }
}

function isDue({ note, written }: Noted): boolean {
  if (written === null) return true;
  if (note === written.note) return false;
  const isOther = note.step !== written.note.step || note.error?.code !== written.note.error?.code;
  return isOther || performance.now() - written.atMs >= againAfterMs;
}
