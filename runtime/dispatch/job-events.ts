import { EventEmitter } from "node:events";
import type { DeliveryNote } from "#contract/delivery-note.ts";
import type { ErrorReport } from "#contract/errors.ts";
import type { JobStatus } from "#runtime/sources/job-source.ts";

/*
 * What happens to the jobs that run in this process, as it happens, for consoles and progress bars. An end state is
 * the last event of its job: what arrives after it (a late progress message) is dropped. The durable truth is the
 * job's record in its queue; this is only the live view, bounded to the latest jobs.
 */
export type LiveEvent =
  | {
      readonly kind: "state";
      readonly status: JobStatus;
      readonly attempt: number;
      readonly error?: ErrorReport;
      readonly retryInSeconds?: number;
      /** The job went back to its queue for what this container lacks, and may wait until another one takes it. */
      readonly condition?: ErrorReport;
    }
  | { readonly kind: "progress"; readonly step: number; readonly total: number; readonly progress: number }
  /** The text that its handler has made so far, of a long one the beginning. */
  | { readonly kind: "text"; readonly text: string }
  /** The job has been worked off, and its result has not reached the app yet. */
  | { readonly kind: "delivery"; readonly note: DeliveryNote }
  /** A part of the work has ended. */
  | { readonly kind: "stage"; readonly name: string; readonly seconds: number }
  | { readonly kind: "preview"; readonly mimeType: string; readonly bytes: Uint8Array };

export interface NumberedEvent {
  /** Grows within a job; a reader that comes back names the last one that it has. */
  readonly id: number;
  readonly atMs: number;
  readonly event: LiveEvent;
}

interface JobLog {
  readonly events: NumberedEvent[];
  nextId: number;
  ended: boolean;
}

const keptJobs = 500;
const keptEvents = 400;

export class JobEvents {
  readonly #logs = new Map<string, JobLog>();
  readonly #emitter = new EventEmitter<Record<string, [NumberedEvent]>>();
  readonly #nowMs: () => number;

  constructor(nowMs: () => number = Date.now) {
    this.#nowMs = nowMs;
    this.#emitter.setMaxListeners(0);
  }

  emit(jobId: string, event: LiveEvent): void {
    const log = this.#log(jobId);
    if (event.kind === "state" && !isEnd(event)) log.ended = false;
    if (log.ended) return;
    if (event.kind === "state" && isEnd(event)) log.ended = true;
    // Of these only the newest is worth its memory.
    const { kind } = event;
    if (kind === "preview" || kind === "delivery" || kind === "text")
      removeLast(log.events, (kept) => kept.event.kind === kind);
    const numbered = { id: log.nextId++, atMs: this.#nowMs(), event };
    log.events.push(numbered);
    if (log.events.length > keptEvents) removeFirst(log.events, (kept) => kept.event.kind === "progress");
    this.#emitter.emit(eventName(jobId), numbered);
  }

  /** Events of one job so far, oldest first; none when it has not run here lately. */
  replay(jobId: string, afterId = 0): readonly NumberedEvent[] {
    return (this.#logs.get(jobId)?.events ?? []).filter((event) => event.id > afterId);
  }

  /** Calls `listener` with each event from now on; returns the way to stop. */
  subscribe(jobId: string, listener: (event: NumberedEvent) => void): () => void {
    this.#emitter.on(eventName(jobId), listener);
    return () => this.#emitter.off(eventName(jobId), listener);
  }

  #log(jobId: string): JobLog {
    const known = this.#logs.get(jobId);
    if (known) return known;
    const log: JobLog = { events: [], nextId: 1, ended: false };
    this.#logs.set(jobId, log);
    if (this.#logs.size > keptJobs) {
      const oldest = this.#logs.keys().next();
      if (!oldest.done) this.#logs.delete(oldest.value);
    }
    return log;
  }
}

/** A job may be called `error`, which an emitter takes for something else. */
function eventName(jobId: string): string {
  return `job:${jobId}`;
}

export function isEnd(event: LiveEvent): boolean {
  return (
    event.kind === "state" &&
    (event.status === "completed" || event.status === "failed" || event.status === "cancelled")
  );
}

function removeFirst<T>(items: T[], matches: (item: T) => boolean): void {
  const index = items.findIndex(matches);
  if (index >= 0) items.splice(index, 1);
}

function removeLast<T>(items: T[], matches: (item: T) => boolean): void {
  const index = items.findLastIndex(matches);
  if (index >= 0) items.splice(index, 1);
}
