import { z } from "zod";
import { decodeElement, decodeProduced } from "#contract/decode.ts";
import { type DeliveryNote, deliveryNote } from "#contract/delivery-note.ts";
import { type ErrorCode, type ErrorReport, errorStatus, toErrorReport } from "#contract/errors.ts";
import type { Job } from "#contract/job.ts";
import { invalidJob } from "#contract/problems.ts";
import { type ContainerOffers, findLack } from "#contract/queue-offers.ts";
import { releaseReason } from "#contract/release-reason.ts";
import { needOf } from "../job-need.ts";
import { type AttemptRecord, attemptOutcomes, type JobRecord, jobStatuses, storedResult } from "../job-source.ts";

/* A job as the scripts keep it, and how it becomes the port's types. */

const errorCode = z.custom<ErrorCode>((value) => typeof value === "string" && Object.hasOwn(errorStatus, value));

export const errorReport: z.ZodType<ErrorReport> = z.object({
  // A code that a newer container wrote into the same database.
  code: errorCode.catch("INTERNAL"),
  message: z.string(),
  details: z.unknown().optional(),
  permanent: z.boolean().optional(),
});

const json = <Schema extends z.ZodType>(schema: Schema) =>
  z.string().transform((text) => schema.parse(JSON.parse(text)));

const attempt = z
  .object({
    attempt: z.number(),
    by: z.string(),
    started: z.number(),
    ended: z.number().optional(),
    outcome: z.enum(attemptOutcomes),
    error: json(errorReport).optional(),
    reason: json(releaseReason).optional().catch(undefined),
  })
  .transform(
    ({ attempt, by, started, ended, outcome, error, reason }): AttemptRecord => ({
      attempt,
      workerId: by,
      startedAtMs: started,
      endedAtMs: ended ?? null,
      outcome,
      error: error ?? null,
      reason: reason ?? null,
    }),
  );

const state = z.object({
  id: z.string(),
  type: z.string(),
  /** Of one that was enqueued here, and did not come over its producer's list. */
  digest: z.string().optional(),
  worker: z.string(),
  user: z.string(),
  priority: z.number(),
  model: z.string().optional(),
  status: z.enum(jobStatuses),
  attempt: z.number(),
  cancel: z.boolean().default(false),
  progress: z.number().optional(),
  created: z.number(),
  available: z.number(),
  settled: z.number().optional(),
  /** Of a job that failed while no attempt ran. */
  error: json(errorReport).optional(),
  result: json(storedResult).optional(),
  attempts: z.array(attempt).default([]),
  token: z.string().optional(),
  /** What a newer container notes otherwise is not understood. */
  delivery: z
    .object({ token: z.string(), note: json(deliveryNote) })
    .optional()
    .catch(undefined),
});
type State = z.output<typeof state>;

/**
 * @param progress that of a running job, which is kept with its lease; empty when it is not known
 * @param offers what containers offer now
 * @param waits of a job that waits: its place, where it is known, and the queues that are paused
 */
export function toJobRecord(
  stateText: string,
  body: string,
  progress: string,
  offers: readonly ContainerOffers[],
  { paused, place = null }: { readonly paused: ReadonlyMap<string, number>; readonly place?: number | null },
): JobRecord {
  const kept = state.parse(JSON.parse(stateText));
  const { attempts } = kept;
  const { job } = readJob(body, { ...kept, isEnqueued: kept.digest !== undefined });
  const isQueued = kept.status === "queued";
  return {
    // It may have another priority than it came with.
    job: { ...job, priority: kept.priority },
    worker: kept.worker,
    status: kept.status,
    attempt: kept.attempt,
    cancelRequested: kept.cancel,
    progress: progress === "" ? (kept.progress ?? null) : Number(progress),
    createdAtMs: kept.created,
    availableAtMs: kept.available,
    startedAtMs: attempts.at(-1)?.startedAtMs ?? null,
    settledAtMs: kept.settled ?? null,
    result: kept.result ?? null,
    error: errorOf(kept),
    attempts,
    place: isQueued ? place : null,
    pausedSinceMs: isQueued ? (paused.get(kept.worker) ?? null) : null,
    waitingFor: isQueued ? findLack(offers, kept.worker, needOf(job)) : null,
    delivery: kept.status === "running" && kept.delivery?.token === kept.token ? (kept.delivery?.note ?? null) : null,
  };
}

/** What `cancel` answers of a job that it leaves as it is: its end, or how far its delivery has come. */
export function endOrDelivery(answer: string): string | DeliveryNote {
  return answer.startsWith("{") ? deliveryNote.parse(JSON.parse(answer)) : answer;
}

/** Why the job failed, or its last attempt did; one that ended well, or was cancelled, has no error. */
function errorOf({ status, attempts, error }: State): ErrorReport | null {
  if (status === "completed" || status === "cancelled") return null;
  if (error !== undefined) return error;
  return attempts.findLast(({ error }) => error !== null)?.error ?? null;
}

export interface ReadJob {
  readonly job: Job;
  /** Why the job must not be run, when its fields are wrong. */
  readonly rejection?: ErrorReport;
  /** Why there is no job in the body. */
  readonly undecodable?: string;
}

interface Card extends Pick<State, "id" | "type" | "user" | "priority"> {
  /** What has checked it has put it on the queue; one from a producer's list has been seen by nobody. */
  readonly isEnqueued: boolean;
}

/** The job in a body. Whatever the body, something with this id and type is returned that can be shown. */
export function readJob(body: string, card: Card): ReadJob {
  const decoded = card.isEnqueued ? decodeElement(body) : decodeProduced(body);
  if (decoded.ok) return { job: decoded.job };
  if (decoded.rejected) {
    return { job: decoded.rejected.job, rejection: toErrorReport(invalidJob(decoded.rejected.problems)) };
  }
  const { id, type, user, priority } = card;
  return { job: { id, type, user_id: user, priority, config: {}, metadata: {} }, undecodable: decoded.reason };
}
