import type { z } from "zod";
import type { DeliveryNote } from "#contract/delivery-note.ts";
import { isEnd, type LiveEvent, type NumberedEvent } from "#runtime/dispatch/job-events.ts";
import type { JobRecord } from "#runtime/sources/job-source.ts";
import type { jobEventData, placeEvent, progressEvent, StateEvent } from "../api/schemas/job-event.ts";
import type { JobView } from "../api/schemas/job-view.ts";
import type { NamedEvent } from "../http/event-stream.ts";
import { iso } from "./job-view.ts";

export interface RecordedState {
  readonly id: EventId;
  readonly state: StateEvent;
}

/**
 * Ids say where an event came from, because each source counts for itself:
 *
 *   <container's start>.<n>   live, from this container; n is the number that JobEvents gave it
 *   record.<n>                the n-th state in the job's record
 *   end.<settled at>          the final state, whatever it was made from
 */
export interface EventId {
  readonly source: string;
  readonly number: number;
}

export function parseEventId(text: string | undefined): EventId | null {
  const match = /^([0-9a-z]{1,16})\.(\d{1,15})$/.exec(text ?? "");
  return match?.[1] === undefined ? null : { source: match[1], number: Number(match[2]) };
}

export function formatEventId({ source, number }: EventId): string {
  return `${source}.${number}`;
}

export function endId(record: JobRecord): string {
  return formatEventId({ source: "end", number: record.settledAtMs ?? 0 });
}

const ends = new WeakMap<JobRecord, Map<string, Promise<NamedEvent>>>();

/**
 * The last event of a job, with all that is known of it; one for all readers who share a record and reach the container in
 * the same way.
 */
export function endEvent(record: JobRecord, base: string, view: () => Promise<JobView>): Promise<NamedEvent> {
  const known = ends.get(record) ?? new Map<string, Promise<NamedEvent>>();
  ends.set(record, known);
  const made = known.get(base) ?? view().then((job) => finalState(record, job));
  known.set(base, made);
  return made;
}

function finalState(record: JobRecord, job: JobView): NamedEvent {
  const state = stateData(record, record.status, record.attempt, record.settledAtMs ?? record.createdAtMs);
  return { id: endId(record), event: "state", data: { ...state, error: job.error, job } };
}

const live = new WeakMap<NumberedEvent, NamedEvent>();

/** A live event of this container; one for all readers. */
export function liveEvent(jobId: string, epoch: string, entry: NumberedEvent): NamedEvent {
  const made = live.get(entry) ?? toServerEvent(jobId, epoch, entry);
  live.set(entry, made);
  return made;
}

function toServerEvent(jobId: string, epoch: string, { id, atMs, event }: NumberedEvent): NamedEvent {
  return { id: formatEventId({ source: epoch, number: id }), event: event.kind, data: liveData(jobId, atMs, event) };
}

function liveData(jobId: string, atMs: number, event: LiveEvent): z.input<typeof jobEventData> {
  switch (event.kind) {
    case "state":
      return {
        job_id: jobId,
        status: event.status,
        attempt: event.attempt,
        at: iso(atMs),
        error: event.error ?? null,
        retry_in_seconds: event.retryInSeconds ?? null,
      };
    case "progress":
      return { progress: event.progress, step: event.step, total: event.total };
    case "text":
      return { text: event.text };
    case "stage":
      return { name: event.name, seconds: event.seconds };
    case "delivery":
      return event.note;
    case "preview":
      return {
        mime_type: event.mimeType,
        url: `data:${event.mimeType};base64,${Buffer.from(event.bytes).toString("base64")}`,
      };
  }
}

/** The progress in a record. It carries the id of the state before it: on return it is read anew. */
export function recordedProgress(id: string, progress: number): NamedEvent {
  return { id, event: "progress", data: { progress, step: null, total: null } satisfies z.input<typeof progressEvent> };
}

/** A waiting job's place in its queue. On return it is read anew. */
export function recordedPlace(id: string, place: number): NamedEvent {
  return { id, event: "place", data: { queue_position: place } satisfies z.input<typeof placeEvent> };
}

/** Why a job that has been worked off has not ended, as its record says it. */
export function recordedDelivery(id: string, note: DeliveryNote): NamedEvent {
  return { id, event: "delivery", data: note };
}

/**
 * The states in a record, oldest first, without the final one: queued, and for each attempt running and,
 * when it did not end the job, queued again.
 */
export function recordedStates(record: JobRecord): RecordedState[] {
  const states = [stateData(record, "queued", 0, record.createdAtMs)];
  for (const { attempt, startedAtMs, endedAtMs, outcome, error } of record.attempts) {
    states.push(stateData(record, "running", attempt, startedAtMs));
    if (outcome !== "retried" && outcome !== "released" && outcome !== "expired") continue;
    states.push({ ...stateData(record, "queued", attempt, endedAtMs ?? startedAtMs), error });
  }
  const last = states.at(-1);
  if (last?.status === "queued" && record.status === "queued" && record.attempts.length > 0) {
    last.retry_in_seconds = Math.max(0, (record.availableAtMs - Date.parse(last.at)) / 1000);
  }
  return states.map((state, index) => ({ id: { source: "record", number: index + 1 }, state }));
}

function stateData({ job }: JobRecord, status: StateEvent["status"], attempt: number, atMs: number): StateEvent {
  return { job_id: job.id, status, attempt, at: iso(atMs), error: null, retry_in_seconds: null };
}

/**
 * The live events of the job's present life. A failed job that was put back on its queue begins a new one: what was
 * live before its end is over, and so is a log that ends while the record goes on.
 */
export function presentLife(log: readonly NumberedEvent[], settled: boolean): readonly NumberedEvent[] {
  const lastEnd = log.findLastIndex(({ event }) => isEnd(event));
  if (lastEnd === -1) return log;
  if (lastEnd < log.length - 1) return log.slice(lastEnd + 1);
  if (!settled) return [];
  const previousEnd = log.findLastIndex(({ event }, index) => index < lastEnd && isEnd(event));
  return log.slice(previousEnd + 1, lastEnd);
}
