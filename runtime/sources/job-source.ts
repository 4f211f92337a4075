import { CodedError, type ErrorReport } from "#contract/errors.ts";
import type { Job } from "#contract/job.ts";

/*
 * The port through which jobs come in. Words:
 *
 *   lease     the exclusive, expiring right to run one job; carries a token
 *   token     new with every lease; a call with a token that is not the job's newest is fenced ("lost")
 *   attempt   one run of a job under one lease, counted from 1; `release` gives the number back
 *
 * States of a job, and who moves it:
 *
 *   queued ──take──► running ──complete──► completed
 *     ▲                │ │ ├──fail───────► failed ──redrive──► queued
 *     │                │ │ └──cancelled──► cancelled        (queued ──cancel──► cancelled, at once)
 *     └──retry, release┘ └── lease ran out: queued again, attempt charged
 *
 * A running job whose cancel was asked never goes back to the queue: what would bring it there (retry, release, a
 * lease that ran out) makes it cancelled. One that ends all the same keeps its end: completed or failed.
 *
 * A job whose lease ran out but that nobody has taken since still belongs to its newest token: a late `complete`
 * or `renew` with that token succeeds. The moment that somebody else takes it, or that it is settled or redriven, the
 * old token is fenced. Leases that ran out are noticed by `take`, of any worker.
 *
 * Every settling call is idempotent by token: said twice, it answers "settled" twice and changes nothing, also when
 * the job has gone on in between. Another settling call with a token that was settled otherwise is "lost".
 */
export const jobStatuses = ["queued", "running", "completed", "failed", "cancelled"] as const;
export type JobStatus = (typeof jobStatuses)[number];

export function isSettled(status: JobStatus): boolean {
  return status === "completed" || status === "failed" || status === "cancelled";
}

/** One builder for queue names: the name of the worker's queue in every source. */
export function queueName(worker: string): string {
  return `${worker}_queue`;
}

/**
 * For queues whose jobs do not wait for each other: one that should must not run too early.
 *
 * @throws CodedError UNSUPPORTED_OPTION
 */
export function refuseDependencies(job: Job): void {
  const { depends_on: listed } = job;
  if (listed === undefined || listed === null || (Array.isArray(listed) && listed.length === 0)) return;
  const message = 'depends_on: jobs of this queue do not wait for others; the source "supabase" has jobs that do.';
  throw new CodedError("UNSUPPORTED_OPTION", message);
}

export interface Lease {
  readonly jobId: string;
  readonly job: Job;
  readonly token: string;
  readonly attempt: number;
  /** Since when the job was due: enqueued, or back on the queue, or its delay over. */
  readonly queuedAtMs: number;
  readonly takenAtMs: number;
  readonly expiresAtMs: number;
  /** Why the attempt before this one did not finish, when there was one. */
  readonly previousError?: ErrorReport;
  /** The job was pushed with wrong fields, which `job` lacks: it must not be run, but failed with this. */
  readonly rejection?: ErrorReport;
}

/** The part of a lease that settling needs; small enough for the outbox. */
export type LeaseKey = Pick<Lease, "jobId" | "token" | "attempt">;

export interface TakeRequest {
  readonly worker: string;
  /** How many jobs of this worker can start now. */
  readonly slots: number;
  /**
   * Models that the worker's executor holds: among equals (same priority, same user), a job whose `model_variant` is one
   * of them goes first. At most 32 are looked at, and no job is passed over without end.
   */
  readonly heldModels?: readonly string[];
}

export interface Renewal {
  readonly lease: LeaseKey;
  /** 0 to 1, carried with the renewal so that progress costs no call of its own. */
  readonly progress?: number;
}

/** `held`: go on. `cancelled`: somebody asked to cancel; the lease is still held, settle with `cancelled`. `lost`: stop. */
export type RenewalOutcome = "held" | "cancelled" | "lost";
export type SettleOutcome = "settled" | "lost";

/** `jobs`: one may be due. `leases`: one that is held may have been cancelled or lost. */
export type ChangeKind = "jobs" | "leases";

/** What is remembered of a finished job. */
export interface JobResult {
  readonly assets: readonly unknown[];
  readonly metadata: Readonly<Record<string, unknown>>;
}

export interface JobSource {
  readonly name: string;
  /** Seconds that a lease lasts without renewal. */
  readonly leaseSeconds: number;
  /** Longest time between two calls of `take` at rest; a source that is paid by the call sees to its own waiting. */
  readonly idleTakeSeconds?: number;
  /**
   * Leases up to `slots` due jobs for each worker: highest priority first, then the oldest. A job keeps its age when
   * it comes back to the queue. Never waits.
   */
  take(requests: readonly TakeRequest[]): Promise<Lease[]>;
  /** One outcome for each renewal, in order. */
  renew(renewals: readonly Renewal[]): Promise<RenewalOutcome[]>;
  complete(lease: LeaseKey, result: JobResult): Promise<SettleOutcome>;
  /** Back to the queue after `delaySeconds`; the attempt stays charged. A job whose cancel was asked becomes cancelled. */
  retry(
    lease: LeaseKey,
    options: { readonly error: ErrorReport; readonly delaySeconds: number },
  ): Promise<SettleOutcome>;
  /** To the dead letters: kept with its error, can be redriven. */
  fail(lease: LeaseKey, error: ErrorReport): Promise<SettleOutcome>;
  /** Back to the queue now, attempt not charged (shutdown). A job whose cancel was asked becomes cancelled. */
  release(lease: LeaseKey): Promise<SettleOutcome>;
  /** Ends a running job whose cancel was asked. Who holds the lease is believed: the asking is not checked again. */
  cancelled(lease: LeaseKey): Promise<SettleOutcome>;
  /**
   * Resolves when there may be something for the caller, at `timeoutMs`, when `signal` aborts or at `close`; never
   * rejects. What happens between two waits ends the next one at once, and each change ends one wait, so that a loop
   * that has no slot for it does not spin. One loop waits for each kind: the one that takes for `jobs`, the one that
   * renews for `leases`; what the one has heard, the other does not miss. Without `what`: either.
   */
  waitForChange(timeoutMs: number, signal: AbortSignal, what?: ChangeKind): Promise<void>;
  close(): Promise<void>;
}

export const attemptOutcomes = [
  "running",
  "completed",
  "retried",
  "failed",
  "released",
  "cancelled",
  "expired",
] as const;
export type AttemptOutcome = (typeof attemptOutcomes)[number];

/** One attempt as it is kept with the job. A released attempt gives its number to the next one. */
export interface AttemptRecord {
  readonly attempt: number;
  readonly workerId: string;
  readonly startedAtMs: number;
  readonly endedAtMs: number | null;
  readonly outcome: AttemptOutcome;
  readonly error: ErrorReport | null;
}

/** A job as it is shown to people: state, timings, result. */
export interface JobRecord {
  readonly job: Job;
  readonly worker: string;
  readonly status: JobStatus;
  /** Attempts charged so far, the running one included. */
  readonly attempt: number;
  readonly cancelRequested: boolean;
  readonly progress: number | null;
  readonly createdAtMs: number;
  readonly availableAtMs: number;
  /** When the newest attempt started. */
  readonly startedAtMs: number | null;
  readonly settledAtMs: number | null;
  readonly result: JobResult | null;
  /** Why the job failed; before it is settled, why its last attempt did not finish. */
  readonly error: ErrorReport | null;
  readonly attempts: readonly AttemptRecord[];
}

export interface EnqueueOptions {
  readonly worker: string;
  readonly delaySeconds?: number;
  /**
   * A second enqueue of the same user with the same key answers the first one's job; with another body it is refused
   * (IDEMPOTENCY_CONFLICT). Bodies are compared without `id` and `created_at`, which producers make anew each time.
   */
  readonly idempotencyKey?: string;
}

export interface EnqueueOutcome {
  /** The earlier job's id when `created` is false. */
  readonly jobId: string;
  readonly created: boolean;
  /** 1: goes next, as far as priority and age tell; 0: does not wait (any more). */
  readonly position: number;
}

export interface JobPage {
  readonly jobs: JobRecord[];
  /** For the next page; null when this is the last. */
  readonly cursor: string | null;
}

export interface ListFilter {
  readonly worker?: string;
  readonly status?: JobStatus;
  readonly type?: string;
  readonly userId?: string;
  readonly limit: number;
  /** As returned with the page before. */
  readonly cursor?: string;
}

export interface QueueStats {
  readonly queue: string;
  readonly queued: number;
  readonly delayed: number;
  readonly running: number;
  readonly failed: number;
  /** Age of the oldest job that is due, null when none is. */
  readonly oldestQueuedSeconds: number | null;
}

/** The producer's and operator's side of a source. Not every source has one (RunPod's queue has no listing). */
export interface JobQueue {
  /**
   * Puts a job on its worker's queue. A job id that was used for the same body answers `created: false`. A job that names
   * others of its user in `depends_on` waits until they have completed, and fails (DEPENDENCY_FAILED) when one does not.
   *
   * @throws CodedError IDEMPOTENCY_CONFLICT when the key or the job id was used for another body; UNSUPPORTED_OPTION when
   *   jobs of this queue cannot wait for others
   */
  enqueue(job: Job, options: EnqueueOptions): Promise<EnqueueOutcome>;
  /** `cancelled`: was queued, is settled. `requested`: is running, will be. @throws JOB_NOT_FOUND, JOB_ALREADY_SETTLED */
  cancel(jobId: string): Promise<"cancelled" | "requested">;
  /** A failed job back to the queue, due now, with its attempts (count and records) forgotten. @throws JOB_NOT_FOUND, JOB_NOT_FAILED */
  redrive(jobId: string): Promise<void>;
  get(jobId: string): Promise<JobRecord | null>;
  /** Newest first. @throws INVALID_REQUEST when the cursor is not one that a page returned */
  list(filter: ListFilter): Promise<JobPage>;
  stats(): Promise<QueueStats[]>;
  /**
   * How old an answer of `stats` may be for somebody who asks again and again: while jobs wait or run, and at rest. A
   * source that is paid by the call says it; of others a few seconds are enough.
   */
  readonly statsAge?: { readonly busySeconds: number; readonly restSeconds: number };
}
