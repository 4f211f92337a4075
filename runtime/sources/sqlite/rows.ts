import { z } from "zod";
import { deliveryNote } from "#contract/delivery-note.ts";
import { type ErrorCode, type ErrorReport, errorStatus } from "#contract/errors.ts";
import type { Job } from "#contract/job.ts";
import { releaseReason } from "#contract/release-reason.ts";
import { flagColumn, jsonColumn } from "#runtime/lib/database/statements.ts";
import { type FindLack, needOf } from "../job-need.ts";
import {
  type AttemptRecord,
  attemptOutcomes,
  type JobRecord,
  jobStatuses,
  type QueueStats,
  queueName,
  storedResult,
  type UnofferedJobs,
} from "../job-source.ts";

/* Shapes of the rows that the statements return, and how they become the port's types. */

const errorCode = z.custom<ErrorCode>((value) => typeof value === "string" && Object.hasOwn(errorStatus, value));

const errorReport: z.ZodType<ErrorReport> = z.object({
  // A code that a newer version of the program wrote into the same file.
  code: errorCode.catch("INTERNAL"),
  message: z.string(),
  details: z.unknown().optional(),
  permanent: z.boolean().optional(),
});

const errorColumn = jsonColumn(errorReport).nullable();
const resultColumn = jsonColumn(storedResult).nullable();

/**
 * A job as it was stored, without the envelope's rules: they were applied when it came in, and are again before it runs.
 * A rule that a later version adds must not make a take or a listing fail at a job of an earlier one.
 */
const storedJob: z.ZodType<Job> = z.looseObject({
  id: z.string(),
  type: z.string(),
  prompt: z.string().optional(),
  user_id: z.string(),
  created_at: z.string().optional(),
  priority: z.number(),
  model_variant: z.string().optional(),
  bucket: z.string().optional(),
  config: z.record(z.string(), z.unknown()),
  metadata: z.record(z.string(), z.unknown()),
});

export const jobRow = z.object({
  sequence: z.number(),
  worker: z.string(),
  body: jsonColumn(storedJob),
  priority: z.number(),
  status: z.enum(jobStatuses),
  attempt: z.number(),
  run: z.number(),
  cancel_requested: flagColumn,
  progress: z.number().nullable(),
  created_at_ms: z.number(),
  available_at_ms: z.number(),
  settled_at_ms: z.number().nullable(),
  result: resultColumn,
  error: errorColumn,
  // A later version may note what this one does not know.
  delivery: jsonColumn(deliveryNote).nullable().catch(null),
});
export type JobRow = z.output<typeof jobRow>;

export const attemptRow = z.object({
  job_sequence: z.number(),
  attempt: z.number(),
  worker_id: z.string(),
  started_at_ms: z.number(),
  ended_at_ms: z.number().nullable(),
  outcome: z.enum(attemptOutcomes),
  error: errorColumn,
  reason: jsonColumn(releaseReason).nullable().catch(null),
});
export type AttemptRow = z.output<typeof attemptRow>;

const needColumns = { type: z.string(), model_variant: z.string().nullable() };

export const sizeRow = z.object({ sequence: z.number(), bytes: z.number() });
export type SizeRow = z.output<typeof sizeRow>;

export const firstRow = z.object({
  ...needColumns,
  sequence: z.number(),
  priority: z.number(),
  user_id: z.string(),
});

export const overdueRow = z.object({
  ...needColumns,
  sequence: z.number(),
  worker: z.string(),
  due: flagColumn,
  body: jsonColumn(storedJob),
  expires_at_ms: z.number(),
});

export const endRow = z.object({
  sequence: z.number(),
  id: z.string(),
  body: jsonColumn(storedJob),
  run: z.number(),
  attempt: z.number(),
  status: z.enum(["failed", "cancelled"]),
  error: errorColumn,
  settled_at_ms: z.number(),
});

export const offerRow = z.object({
  worker: z.string(),
  offer: jsonColumn(
    z.object({ types: z.array(z.string()), defaultModelTypes: z.array(z.string()), models: z.array(z.string()) }),
  ),
});

export const needRow = z.object({ ...needColumns, jobs: z.number(), oldest_ms: z.number() });

export const leasedRow = z.object({
  sequence: z.number(),
  id: z.string(),
  body: jsonColumn(storedJob),
  attempt: z.number(),
  run: z.number(),
  available_at_ms: z.number(),
  error: errorColumn,
});

export const renewedRow = z.object({ sequence: z.number(), cancel_requested: flagColumn });
export const requeuedRow = z.object({ sequence: z.number(), status: z.enum(jobStatuses) });
export const outcomeRow = z.object({ outcome: z.enum(attemptOutcomes) });
export const sequenceRow = z.object({ sequence: z.number() });
export const aheadRow = z.object({ ahead: z.number() });
export const pausedRow = z.object({ worker: z.string(), since_ms: z.number() });
export const answerRow = z.object({ answer: flagColumn });
export const momentRow = z.object({ at_ms: z.number().nullable() });

export const statusRow = z.object({ status: z.enum(jobStatuses) });

export const matchedRow = z.object({
  sequence: z.number(),
  id: z.string(),
  status: z.enum(jobStatuses),
  matches: flagColumn,
  error: errorColumn,
});

export const endedRow = z.object({ status: z.enum(jobStatuses), is_reported: flagColumn });

export const failureGroupRow = z.object({
  worker: z.string(),
  code: z.string(),
  type: z.string(),
  jobs: z.number(),
  permanent: z.number(),
  last_ms: z.number(),
});

export const newestFailureRow = z.object({ id: z.string(), error: errorColumn });

export const countsRow = z.object({
  worker: z.string(),
  queued: z.number(),
  delayed: z.number(),
  running: z.number(),
  failed: z.number(),
  oldest_ms: z.number().nullable(),
});

/**
 * @param attempts those of this job, in the order in which they started
 */
export function toJobRecord(
  row: JobRow,
  attempts: readonly AttemptRow[],
  { findLack, paused, place = null }: WaitingFacts,
): JobRecord {
  return {
    // It may have another priority than it came with.
    job: { ...row.body, priority: row.priority },
    worker: row.worker,
    status: row.status,
    attempt: row.attempt,
    cancelRequested: row.cancel_requested,
    progress: row.progress,
    createdAtMs: row.created_at_ms,
    availableAtMs: row.available_at_ms,
    startedAtMs: attempts.at(-1)?.started_at_ms ?? null,
    settledAtMs: row.settled_at_ms,
    result: row.result,
    error: row.error,
    attempts: attempts.map(toAttemptRecord),
    waitingFor: row.status === "queued" ? findLack(row.worker, needOf(row.body)) : null,
    delivery: row.delivery,
    place: row.status === "queued" ? place : null,
    pausedSinceMs: row.status === "queued" ? (paused.get(row.worker) ?? null) : null,
  };
}

/** What is known of jobs that wait. */
export interface WaitingFacts {
  /** What a queued job needs that no container offers. */
  readonly findLack: FindLack;
  /** Queues that are paused, by worker, and since when. */
  readonly paused: ReadonlyMap<string, number>;
  readonly place?: number | null;
}

function toAttemptRecord(row: AttemptRow): AttemptRecord {
  return {
    attempt: row.attempt,
    workerId: row.worker_id,
    startedAtMs: row.started_at_ms,
    endedAtMs: row.ended_at_ms,
    outcome: row.outcome,
    error: row.error,
    reason: row.reason,
  };
}

export function toQueueStats(
  row: z.output<typeof countsRow>,
  unoffered: readonly UnofferedJobs[],
  pausedSinceMs: number | null,
  nowMs: number,
): QueueStats {
  return {
    queue: queueName(row.worker),
    queued: row.queued,
    delayed: row.delayed,
    running: row.running,
    failed: row.failed,
    oldestQueuedSeconds: row.oldest_ms === null ? null : (nowMs - row.oldest_ms) / 1000,
    unoffered,
    pausedSinceMs,
  };
}
