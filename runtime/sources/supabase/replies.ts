import { z } from "zod";
import { decodeElement } from "#contract/decode.ts";
import { deliveryNote } from "#contract/delivery-note.ts";
import { type ErrorCode, type ErrorReport, isErrorCode, toErrorReport } from "#contract/errors.ts";
import type { Job } from "#contract/job.ts";
import { invalidJob } from "#contract/problems.ts";
import { releaseReason } from "#contract/release-reason.ts";
import {
  type AttemptRecord,
  attemptOutcomes,
  type JobRecord,
  jobStatuses,
  type Lease,
  storedResult,
  type UnreportedEnd,
} from "../job-source.ts";

/* Shapes of what the database's functions answer, and how they become the port's types. */

const errorReport: z.ZodType<ErrorReport> = z.object({
  // A code that a newer container wrote into the same table.
  code: z.custom<ErrorCode>(isErrorCode).catch("INTERNAL"),
  message: z.string(),
  details: z.unknown().optional(),
  permanent: z.boolean().optional(),
});

const ms = z.number().int();
const count = z.number().int().min(0);

const run = z.number().int().min(1);

/** A database that has not been migrated yet does not say whether the worker is served. */
const unofferedNeed = z.object({ type: z.string(), model: z.string().nullable(), served: z.boolean().default(true) });

const lease = z
  .object({
    job_id: z.string(),
    job: z.unknown(),
    token: z.string(),
    attempt: count,
    run,
    queued_at_ms: ms,
    taken_at_ms: ms,
    expires_at_ms: ms,
    previous_error: errorReport.nullable(),
  })
  .transform(
    ({ job_id, job, token, attempt, run, queued_at_ms, taken_at_ms, expires_at_ms, previous_error }): Lease => {
      return {
        jobId: job_id,
        ...readJob(job),
        token,
        attempt,
        run,
        queuedAtMs: queued_at_ms,
        takenAtMs: taken_at_ms,
        expiresAtMs: expires_at_ms,
        ...(previous_error === null ? {} : { previousError: previous_error }),
      };
    },
  );

const unreportedEnd = z
  .object({
    job_id: z.string(),
    job: z.unknown(),
    run,
    attempt: count,
    status: z.enum(["failed", "cancelled"]),
    error: errorReport.nullable(),
    ended_at_ms: ms,
  })
  .transform(
    ({ job_id, job, run, attempt, status, error, ended_at_ms }): UnreportedEnd => ({
      jobId: job_id,
      job: readJob(job).job,
      run,
      attempt,
      status,
      ...(error === null ? {} : { error }),
      endedAtMs: ended_at_ms,
    }),
  );

export const taken = z.object({ leases: z.array(lease), ends: z.array(unreportedEnd) });

export const renewals = z.array(z.enum(["held", "cancelled", "lost"]));
export const settled = z.discriminatedUnion("outcome", [
  z.object({ outcome: z.literal("settled"), became: z.enum(["completed", "failed", "cancelled", "requeued"]) }),
  z.object({ outcome: z.literal("lost") }),
]);
export const enqueued = z.object({ job_id: z.string(), created: z.boolean(), position: count });
export const cancelled = z.object({ outcome: z.enum(["cancelled", "requested"]) });
export const reprioritized = z.object({ priority: z.number() });
export const paused = z.object({ paused_since_ms: ms.nullable() });
export const redriven = z.object({ job_status: z.enum(jobStatuses) });
export const dueJobs = z.object({ now_ms: ms, due: z.array(z.string()), next_ms: ms.nullable() });
export const tokens = z.array(z.string());
export const counted = count;

const reportText = errorReport.nullable().catch(null);
export const matched = z.object({
  jobs: z.array(z.object({ job_id: z.string(), status: z.enum(jobStatuses), error: reportText })),
  last: count.nullable(),
});
export const cancelledMany = z.array(z.enum(["cancelled", "requested", "settled", "missing"]));
export const discarded = z.array(z.enum(["discarded", "missing", "unreported", "queued", "running"]));
export const failureGroups = z.array(
  z.object({
    worker: z.string(),
    code: z.string(),
    type: z.string(),
    jobs: count,
    permanent: count,
    last_at_ms: ms,
    newest_id: z.string(),
    newest_message: z.string(),
  }),
);

export const stats = z.array(
  z.object({
    queue: z.string(),
    queued: count,
    delayed: count,
    running: count,
    failed: count,
    oldest_queued_seconds: z.number().nullable(),
    /** Absent from a database that has not been migrated yet. */
    paused_since_ms: ms.nullable().default(null),
    unoffered: z.array(
      unofferedNeed
        .extend({ jobs: count, oldest_seconds: z.number() })
        .transform(({ oldest_seconds, ...need }) => ({ ...need, oldestSeconds: oldest_seconds })),
    ),
  }),
);

const attempt = z
  .object({
    attempt: count,
    worker_id: z.string(),
    started_at_ms: ms,
    ended_at_ms: ms.nullable(),
    outcome: z.enum(attemptOutcomes),
    error: errorReport.nullable(),
    /** Absent from a database that has not been migrated yet. */
    reason: releaseReason.nullable().catch(null),
  })
  .transform(
    ({ attempt, worker_id, started_at_ms, ended_at_ms, outcome, error, reason }): AttemptRecord => ({
      attempt,
      workerId: worker_id,
      startedAtMs: started_at_ms,
      endedAtMs: ended_at_ms,
      outcome,
      error,
      reason,
    }),
  );

export const record = z.object({
  sequence: count,
  job: z.unknown(),
  worker: z.string(),
  status: z.enum(jobStatuses),
  attempt: count,
  cancel_requested: z.boolean(),
  progress: z.number().nullable(),
  created_at_ms: ms,
  available_at_ms: ms,
  started_at_ms: ms.nullable(),
  settled_at_ms: ms.nullable(),
  result: storedResult.nullable().catch(null),
  error: errorReport.nullable(),
  attempts: z.array(attempt),
  waiting_for: unofferedNeed.nullable(),
  /** Absent from a database that has not been migrated yet. */
  delivery: deliveryNote.nullable().catch(null),
  priority: z.number().optional(),
  place: count.nullable().default(null),
  paused_since_ms: ms.nullable().default(null),
});
/** The last one says whether there is a next page. */
export const records = z.array(record.extend({ more: z.boolean().default(false) }));
export const waiting = z.array(record);
export type RecordAnswer = z.output<typeof record>;

export function toJobRecord(row: RecordAnswer): JobRecord {
  const { job } = readJob(row.job);
  return {
    // It may have another priority than it came with.
    job: { ...job, priority: row.priority ?? job.priority },
    worker: row.worker,
    status: row.status,
    attempt: row.attempt,
    cancelRequested: row.cancel_requested,
    progress: row.progress,
    createdAtMs: row.created_at_ms,
    availableAtMs: row.available_at_ms,
    startedAtMs: row.started_at_ms,
    settledAtMs: row.settled_at_ms,
    result: row.result,
    error: row.error,
    attempts: row.attempts,
    waitingFor: row.waiting_for,
    delivery: row.delivery,
    place: row.place,
    pausedSinceMs: row.paused_since_ms,
  };
}

export interface ReadJob {
  readonly job: Job;
  /** Why the job must not be run, when its fields are wrong. */
  readonly rejection?: ErrorReport;
}

const identity = z.looseObject({ id: z.string(), type: z.string(), user_id: z.string().catch("anonymous") });

/** The job in a row. Whatever is in it, something with its id and type is returned that can be shown. */
export function readJob(element: unknown): ReadJob {
  const decoded = decodeElement(element);
  if (decoded.ok) return { job: decoded.job };
  if (decoded.rejected !== undefined) {
    return { job: decoded.rejected.job, rejection: toErrorReport(invalidJob(decoded.rejected.problems)) };
  }
  const { id, type, user_id } = identity.parse(element);
  const rejection: ErrorReport = { code: "UNDECODABLE_JOB", message: `The job cannot be read: ${decoded.reason}` };
  return { job: { id, type, user_id, priority: 0, config: {}, metadata: {} }, rejection };
}
