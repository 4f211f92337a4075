import type { NumberedEvent } from "#runtime/job-events.ts";
import type { Runtime } from "#runtime/runtime.ts";
import { isSettled, type JobRecord, type JobStatus } from "#runtime/source/job-source.ts";
import type { ServerEvent } from "../http/event-stream.ts";
import { Inbox } from "./inbox.ts";
import {
  type EventId,
  endEvent,
  formatEventId,
  liveEvent,
  presentLife,
  recordedProgress,
  recordedStates,
} from "./job-event.ts";
import { viewJob } from "./job-view.ts";

export interface FollowOptions {
  /** The last event that the reader has; what came after it is sent. */
  readonly after: EventId | null;
  /** Silence after which the record is read: the job may run in another process, which is not heard here. */
  readonly pollMs?: number;
}

type Container = Pick<Runtime, "queue" | "events" | "store" | "config" | "startedAtMs">;

const defaultPollMs = 500;

/**
 * The events of a job, from the beginning (or after the last one that the reader has) to its final state. Two sources
 * tell of it: the live events of this container, exact and at once, and the record in the queue, which knows the states
 * wherever the job runs. Live events come first; the record is asked while they are silent. Ends after the final state,
 * when the signal aborts, or when the job was deleted.
 */
export async function* followJob(
  container: Container,
  jobId: string,
  options: FollowOptions,
  signal: AbortSignal,
): AsyncGenerator<ServerEvent> {
  const { queue, events, startedAtMs } = container;
  const inbox = new Inbox(events, jobId);
  const teller = new Teller(jobId, startedAtMs.toString(36));
  try {
    const first = await queue.get(jobId);
    if (first === null) return;
    // Taken together, so that no event is in both and none in neither.
    while (!inbox.isEmpty) inbox.take();
    yield* teller.past(first, presentLife(events.replay(jobId), isSettled(first.status)), options.after);
    let record: JobRecord | null = first;
    while (record !== null && !isSettled(record.status)) {
      yield* teller.recorded(record);
      record = yield* untilSilent(container, inbox, teller, options.pollMs ?? defaultPollMs, signal);
      if (signal.aborted) return;
    }
    if (record !== null) yield endEvent(record, await viewJob(record, container));
  } finally {
    inbox.close();
  }
}

/** Tells what happens here until nothing does; returns what the record then says, null when the job was deleted. */
async function* untilSilent(
  { queue }: Container,
  inbox: Inbox,
  teller: Teller,
  pollMs: number,
  signal: AbortSignal,
): AsyncGenerator<ServerEvent, JobRecord | null> {
  for (;;) {
    await inbox.wait(pollMs, signal);
    for (let next = inbox.take(); next !== undefined; next = inbox.take()) {
      if (signal.aborted) return null;
      // The end is told from the record, which says all of it.
      if (isFinal(next)) break;
      yield* teller.live(next);
    }
    if (signal.aborted) return null;
    const record = await queue.get(teller.jobId);
    // What came in meanwhile is newer than this record.
    if (inbox.isEmpty || record === null || isSettled(record.status)) return record;
  }
}

function isFinal({ event }: NumberedEvent): boolean {
  return event.kind === "state" && isSettled(event.status);
}

/** What one reader has been told, so that two sources do not tell it twice, nor an older state after a newer one. */
class Teller {
  readonly jobId: string;
  readonly #epoch: string;
  #status: JobStatus = "queued";
  #attempt = -1;
  #progress = 0;
  #lastId = formatEventId({ source: "record", number: 0 });

  constructor(jobId: string, epoch: string) {
    this.jobId = jobId;
    this.#epoch = epoch;
  }

  /** What had happened when the reader came: the record's states up to the first live one, then the live events. */
  *past(record: JobRecord, log: readonly NumberedEvent[], after: EventId | null): Generator<ServerEvent> {
    const firstLive = log.flatMap(({ event }) => (event.kind === "state" ? [event.attempt] : []))[0] ?? Infinity;
    for (const { id, state } of recordedStates(record)) {
      if (state.attempt >= firstLive) break;
      this.#note(state.status, state.attempt, formatEventId(id));
      if (!this.#has(after, id)) yield { id: this.#lastId, event: "state", data: state };
    }
    for (const entry of log) {
      const told = [...this.live(entry)];
      if (!this.#has(after, { source: this.#epoch, number: entry.id })) yield* told;
    }
  }

  *live(entry: NumberedEvent): Generator<ServerEvent> {
    const message = liveEvent(this.jobId, this.#epoch, entry);
    const { event } = entry;
    if (event.kind === "state") {
      if (!this.#isNews(event.status, event.attempt)) return;
      this.#note(event.status, event.attempt, message.id);
    }
    if (event.kind === "progress") this.#progress = event.progress;
    this.#lastId = message.id;
    yield message;
  }

  /** What the record knows that was not told: states of other processes, and their progress. */
  *recorded(record: JobRecord): Generator<ServerEvent> {
    for (const { id, state } of recordedStates(record)) {
      if (!this.#isNewer(state.status, state.attempt)) continue;
      this.#note(state.status, state.attempt, formatEventId(id));
      yield { id: this.#lastId, event: "state", data: state };
    }
    if (record.status !== "running" || record.progress === null || record.progress <= this.#progress) return;
    this.#progress = record.progress;
    yield recordedProgress(this.#lastId, record.progress);
  }

  #note(status: JobStatus, attempt: number, id: string): void {
    if (status !== this.#status || attempt !== this.#attempt) this.#progress = 0;
    this.#status = status;
    this.#attempt = attempt;
    this.#lastId = id;
  }

  #isNews(status: JobStatus, attempt: number): boolean {
    return status !== this.#status || attempt !== this.#attempt;
  }

  /** States of one attempt come in this order: running, then queued again. */
  #isNewer(status: JobStatus, attempt: number): boolean {
    if (attempt !== this.#attempt) return attempt > this.#attempt;
    return status === "queued" && this.#status === "running";
  }

  /** Whether a reader that has `after` has this one too. What is live came after the record's part. */
  #has(after: EventId | null, id: EventId): boolean {
    if (after === null) return false;
    return after.source === id.source ? id.number <= after.number : after.source === this.#epoch;
  }
}
