import type { Runtime } from "#runtime/container/runtime.ts";
import type { NumberedEvent } from "#runtime/dispatch/job-events.ts";
import { isSettled, type JobQueue, type JobRecord, type JobStatus } from "#runtime/sources/job-source.ts";
import type { NamedEvent, NamedEvents } from "../http/event-stream.ts";
import { Inbox } from "./inbox.ts";
import {
  type EventId,
  endEvent,
  formatEventId,
  liveEvent,
  presentLife,
  type RecordedState,
  recordedDelivery,
  recordedPlace,
  recordedProgress,
  recordedStates,
} from "./job-event.ts";
import { type ViewContext, viewJob } from "./job-view.ts";
import { readShared, untilSharedTurn } from "./shared-reads.ts";

export interface FollowJobOptions {
  /** The last event that the reader has; what came after it is sent. */
  readonly after: EventId | null;
  /** Silence after which the record is read: the job may run in another process, which is not heard here. */
  readonly pollMs?: number;
  /** Where the reader reaches this container. */
  readonly base?: string;
}

export interface FollowedContainer extends ViewContext, Pick<Runtime, "events" | "startedAtMs"> {
  readonly queue: Pick<JobQueue, "get">;
}

const defaultPollMs = 500;

/**
 * The events of a job, from the beginning (or after the last one that the reader has) to its final state. Two sources
 * report it: the live events of this container, exact and at once, and the record in the queue, which knows the states
 * wherever the job runs. Live events come first; the record is polled while they are silent. Ends after the final state,
 * when the signal aborts, or when the job was deleted.
 */
export async function* followJob(
  container: FollowedContainer,
  jobId: string,
  options: FollowJobOptions,
  signal: AbortSignal,
): AsyncGenerator<NamedEvent> {
  for await (const batch of followInBatches(container, jobId, options, signal)) yield* batch;
}

/** The same, with what has happened by the time that the reader takes more in one batch, none of them empty. */
export async function* followInBatches(
  container: FollowedContainer,
  jobId: string,
  options: FollowJobOptions,
  signal: AbortSignal,
): AsyncGenerator<NamedEvents> {
  for await (const batch of follow(container, jobId, options, signal)) if (batch.length > 0) yield batch;
}

async function* follow(
  container: FollowedContainer,
  jobId: string,
  options: FollowJobOptions,
  signal: AbortSignal,
): AsyncGenerator<NamedEvents> {
  const { queue, events, startedAtMs } = container;
  const first = await queue.get(jobId);
  if (first === null) return;
  // Begun together with the replay, so that no event is in both and none in neither.
  const inbox = new Inbox(events, jobId);
  const sent = new SentEvents(jobId, startedAtMs.toString(36));
  try {
    yield [...sent.past(first, presentLife(events.replay(jobId), isSettled(first.status)), options.after)];
    let record: JobRecord | null = first;
    while (record !== null && !isSettled(record.status)) {
      record = yield* untilSilent(container, inbox, sent, options.pollMs ?? defaultPollMs, signal);
      if (signal.aborted) return;
      if (record !== null) yield [...sent.recorded(record)];
    }
    const end = record;
    if (end !== null) yield [await endEvent(end, options.base ?? "", () => viewJob(end, container, options.base))];
  } finally {
    inbox.close();
  }
}

/** Sends what happens here until nothing does; returns what the record then says, null when the job was deleted. */
async function* untilSilent(
  { queue }: FollowedContainer,
  inbox: Inbox,
  sent: SentEvents,
  pollMs: number,
  signal: AbortSignal,
): AsyncGenerator<NamedEvents, JobRecord | null> {
  for (;;) {
    await inbox.wait(untilSharedTurn(pollMs), signal);
    if (signal.aborted) return null;
    const taken = inbox.takeAll();
    // The end is sent from the record, which holds all of it.
    const poll = taken.length === 0 || taken.some(isFinal);
    yield taken.filter((entry) => !isFinal(entry)).flatMap((entry) => [...sent.live(entry)]);
    if (signal.aborted) return null;
    if (!poll) continue;
    const record = await readShared(queue, sent.jobId);
    // What came in meanwhile is newer than this record. Otherwise the record is the newer one: whatever is sent live was
    // written to the queue before.
    if (inbox.isEmpty || record === null || isSettled(record.status)) return record;
  }
}

function isFinal({ event }: NumberedEvent): boolean {
  return event.kind === "state" && isSettled(event.status);
}

/** What one reader has been sent, so that two sources do not send it twice, nor an older state after a newer one. */
class SentEvents {
  readonly jobId: string;
  readonly #epoch: string;
  #status: JobStatus = "queued";
  #attempt = -1;
  #progress = 0;
  /** The place that was sent last, while the job waits. */
  #place: number | null = null;
  #lastId = "";
  /** The note that was sent last, as text. */
  #delivery = "";
  /** When the delivery began that this container last sent a note of. */
  #liveDeliverySince = "";

  constructor(jobId: string, epoch: string) {
    this.jobId = jobId;
    this.#epoch = epoch;
  }

  /** What had happened when the reader came: the record's states up to the first live one, then the live events. */
  *past(record: JobRecord, log: readonly NumberedEvent[], after: EventId | null): Generator<NamedEvent> {
    // Where the live events are forgotten, nobody can say what the reader missed of them: it is sent the states again.
    const seen = log.length === 0 && after?.source === this.#epoch ? null : after;
    const firstLive = log.flatMap(({ event }) => (event.kind === "state" ? [event.attempt] : []))[0] ?? Infinity;
    for (const recorded of recordedStates(record).filter(({ state }) => state.attempt < firstLive)) {
      const event = this.#recordedState(recorded);
      if (!this.#has(seen, recorded.id)) yield event;
    }
    for (const entry of log) {
      const events = [...this.live(entry)];
      if (!this.#has(seen, { source: this.#epoch, number: entry.id })) yield* events;
    }
    yield* this.#recordedPlace(record);
    if (log.length > 0) return;
    yield* this.#recordedProgress(record);
    yield* this.#recordedDelivery(record);
  }

  *live(entry: NumberedEvent): Generator<NamedEvent> {
    const message = liveEvent(this.jobId, this.#epoch, entry);
    const { event } = entry;
    if (event.kind === "state") {
      if (this.#isSent(event.status, event.attempt)) return;
      this.#note(event.status, event.attempt);
    }
    if (event.kind === "progress") this.#progress = event.progress;
    if (event.kind === "delivery") {
      this.#delivery = JSON.stringify(event.note);
      this.#liveDeliverySince = event.note.since;
    }
    this.#lastId = message.id;
    yield message;
  }

  /** What the record knows that was not sent: states of other processes, and their progress. */
  *recorded(record: JobRecord): Generator<NamedEvent> {
    if (isSettled(record.status)) return;
    const states = recordedStates(record);
    const last = states.findLastIndex(({ state }) => this.#isSent(state.status, state.attempt));
    // A record without the state that was sent last belongs to a job that was put back on its queue anew.
    for (const state of last === -1 ? states.slice(-1) : states.slice(last + 1)) yield this.#recordedState(state);
    yield* this.#recordedPlace(record);
    yield* this.#recordedProgress(record);
    yield* this.#recordedDelivery(record);
  }

  #recordedState({ id, state }: RecordedState): NamedEvent {
    this.#note(state.status, state.attempt);
    this.#lastId = formatEventId(id);
    return { id: this.#lastId, event: "state", data: state };
  }

  /** A record's progress is some seconds old: it is sent only when it is ahead of the live one. */
  *#recordedProgress({ status, progress }: JobRecord): Generator<NamedEvent> {
    if (status !== "running" || progress === null || progress <= this.#progress) return;
    this.#progress = progress;
    yield recordedProgress(this.#lastId, progress);
  }

  *#recordedPlace({ status, place }: JobRecord): Generator<NamedEvent> {
    if (status !== "queued" || this.#status !== "queued" || place === null || place === this.#place) return;
    this.#place = place;
    yield recordedPlace(this.#lastId, place);
  }

  /** Notes are written down some time after they were sent: of a delivery of this container, the record has no newer one. */
  *#recordedDelivery({ delivery }: JobRecord): Generator<NamedEvent> {
    const text = JSON.stringify(delivery);
    if (delivery === null || text === this.#delivery || delivery.since <= this.#liveDeliverySince) return;
    this.#delivery = text;
    yield recordedDelivery(this.#lastId, delivery);
  }

  #note(status: JobStatus, attempt: number): void {
    if (!this.#isSent(status, attempt)) {
      this.#progress = 0;
      this.#place = null;
      this.#liveDeliverySince = "";
    }
    this.#status = status;
    this.#attempt = attempt;
  }

  #isSent(status: JobStatus, attempt: number): boolean {
    return status === this.#status && attempt === this.#attempt;
  }

  /** Whether a reader that has seen this event has seen that one too. What is live came after the record's part. */
  #has(seen: EventId | null, id: EventId): boolean {
    if (seen === null) return false;
    return seen.source === id.source ? id.number <= seen.number : seen.source === this.#epoch;
  }
}
