import type { ErrorReport } from "#contract/errors.ts";
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
 *     │                │ │ └──cancel─────► cancelled        (queued ──cancel──► cancelled, at once)
 *     └──retry, release┘ └── lease ran out: queued again, attempt charged
 *
 * A job whose lease ran out but that nobody has taken since still belongs to its newest token: a late `complete`
 * or `renew` with that token succeeds. The moment that somebody else takes it, the old token is fenced.
 * Every settling call is idempotent by token: said twice, it answers "settled" twice and changes nothing.
 */
export const jobStatuses = ["queued", "running", "completed", "failed", "cancelled"] as const;
export type JobStatus = (typeof jobStatuses)[number];

export function isSettled(status: JobStatus): boolean {
  return status === "completed" || status === "failed" || status === "cancelled";
}

export interface Lease {
  readonly jobId: string;
  readonly job: Job;
  readonly token: string;
  readonly attempt: number;
  readonly queuedAtMs: number;
  readonly takenAtMs: number;
  readonly expiresAtMs: number;
  /** Why the attempt before this one did not finish, when there was one. */
  readonly previousError?: ErrorReport;
}

/** The part of a lease that settling needs; small enough for the outbox. */
export type LeaseKey = Pick<Lease, "jobId" | "token" | "attempt">;

export interface TakeRequest {
  readonly worker: string;
  /** How many jobs of this worker can start now. */
  readonly slots: number;
  /** Models that the worker's executor holds: among equals, a job for one of them goes first. */
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

/** What is remembered of a finished job. */
export interface JobResult {
  readonly assets: readonly unknown[];
  readonly metadata: Readonly<Record<string, unknown>>;
}

export interface JobSource {
  readonly name: string;
  /** Seconds that a lease lasts without renewal. */
  readonly leaseSeconds: number;
  /** Leases up to `slots` due jobs for each worker: highest priority first, then the oldest. Never waits. */
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
  /** Back to the queue now, attempt not charged (shutdown). */
  release(lease: LeaseKey): Promise<SettleOutcome>;
  /** Ends a running job whose cancel was asked. */
  cancelled(lease: LeaseKey): Promise<SettleOutcome>;
  /** Resolves when a job may be due, when a held lease may have been cancelled, at `timeoutMs`, or when `signal` aborts; never rejects. */
  waitForChange(timeoutMs: number, signal: AbortSignal): Promise<void>;
  close(): Promise<void>;
}

/** One attempt as it is kept with the job. */
export interface AttemptRecord {
  readonly attempt: number;
  readonly workerId: string;
  readonly startedAtMs: number;
  readonly endedAtMs: number | null;
  readonly outcome: "running" | "completed" | "retried" | "failed" | "released" | "cancelled" | "expired";
  readonly error: ErrorReport | null;
}

/** A job as it is shown to people: state, timings, result. */
export interface JobRecord {
  readonly job: Job;
  readonly worker: string;
  readonly status: JobStatus;
  readonly attempt: number;
  readonly cancelRequested: boolean;
  readonly progress: number | null;
  readonly createdAtMs: number;
  readonly availableAtMs: number;
  readonly startedAtMs: number | null;
  readonly settledAtMs: number | null;
  readonly result: JobResult | null;
  readonly error: ErrorReport | null;
  readonly attempts: readonly AttemptRecord[];
}

export interface EnqueueOptions {
  readonly worker: string;
  readonly delaySeconds?: number;
  /** A second enqueue with the same key answers the first one's job; with another body it is refused (IDEMPOTENCY_CONFLICT). */
  readonly idempotencyKey?: string;
}

export interface ListFilter {
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
  /** @throws CodedError IDEMPOTENCY_CONFLICT when the key or the job id was used for another body */
  enqueue(
    job: Job,
    options: EnqueueOptions,
  ): Promise<{ readonly jobId: string; readonly created: boolean; readonly position: number }>;
  /** `cancelled`: was queued, is settled. `requested`: is running, will be. @throws JOB_NOT_FOUND, JOB_ALREADY_SETTLED */
  cancel(jobId: string): Promise<"cancelled" | "requested">;
  /** A failed job back to the queue with its attempts forgotten. @throws JOB_NOT_FOUND, JOB_NOT_FAILED */
  redrive(jobId: string): Promise<void>;
  get(jobId: string): Promise<JobRecord | null>;
  list(filter: ListFilter): Promise<{ readonly jobs: JobRecord[]; readonly cursor: string | null }>;
  stats(): Promise<QueueStats[]>;
}
