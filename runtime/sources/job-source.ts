import { z } from "zod";
import type { AttemptLog } from "#contract/attempt-log.ts";
import type { DeliveryNote } from "#contract/delivery-note.ts";
import { CodedError, type ErrorReport } from "#contract/errors.ts";
import type { Job } from "#contract/job.ts";
import { attemptOutcomes, jobStatuses } from "#contract/job-states.ts";
import type { UnofferedNeed } from "#contract/queue-offers.ts";
import type { ReleaseReason } from "#contract/release-reason.ts";

/*
 * The port through which jobs come in. Words:
 *
 *   lease     the exclusive, expiring right to run one job; carries a token
 *   token     new with every lease; a call with a token that is not the job's newest is fenced ("lost")
 *   attempt   one run of a job under one lease, counted from 1; `release` gives the number back
 *   run       1, and one more with every redrive; attempts restart at 1 with every run
 *   offer     what one container can run now, for one worker
 *
 * States of a job, and who moves it:
 *
 *   queued ──take──► running ──complete──► completed
 *     ▲  │             │ │ ├──fail───────► failed ──redrive──► queued, as the next run
 *     │  │             │ │ └──cancelled──► cancelled
 *     │  │             │ └── lease ran out: queued again, attempt charged
 *     └──┼─retry, release
 *        └── cancel: cancelled, at once · its time is over (EXPIRED), or what it depends on failed: failed
 *
 * A running job whose cancel was requested never goes back to the queue: what would bring it there (retry, release, a
 * lease that ran out) makes it cancelled. One that ends all the same keeps its end: completed or failed.
 *
 * A job whose lease ran out but that nobody has taken since still belongs to its newest token: a late `complete`
 * or `renew` with that token succeeds. The moment that somebody else takes it, or that it is settled or redriven, the
 * old token is fenced. Leases that ran out are noticed by `take`, of any worker.
 *
 * Every settling call answers what the job became by it, and is idempotent by token: made twice, it answers the same
 * twice and changes nothing, also when the job has gone on in between. Another settling call with a token that was
 * settled otherwise is "lost".
 *
 * A service that may forget (a Redis that was flushed, or came back without its data) answers "unknown" for a job of which
 * nothing is left. That is not another container's: who runs it goes on, and who has finished it delivers.
 *
 * Ends. A job that comes to its end while no attempt of it settles it (a cancel while it waits, a lease that runs out
 * after cancel was requested, its time that is over, a failed dependency) leaves an unreported end, in the same
 * transaction. The next `take` of any container on the same queue answers it; that container writes the final callback
 * into its outbox and then calls `reported`. An end that was answered and is not reported within one lease time is
 * answered again. So every job gets one final callback, whoever ended it. A redrive removes the job's unreported end.
 * A retry or release that makes the job cancelled leaves an end too, which counts as answered to its caller: should the
 * caller die before it has written the callback down, another container gets it one lease time later.
 *
 * Offers. `take` with an offer leaves the jobs outside of it where they are: they keep their place and their age, are
 * never charged, and do not keep those behind them from being taken. What a container offers at all it announces, so
 * that a job which nobody offers to run can be seen.
 *
 * Pausing. The queue of a worker that is paused keeps its jobs: no container leases one of them until it is resumed, whatever
 * restarts meanwhile. What runs goes on, jobs come in, wait, expire and are cancelled, ends are answered.
 *
 * Skipping. `take` leaves the jobs of the users and types that it is to skip where they are too, as if they were outside of the
 * offer. They are offered nonetheless: another container takes them, and so does this one when it skips them no longer.
 *
 * Discarding. Whoever operates the queue removes ended jobs, one or many. A job goes whole or stays: one that has not
 * ended, or whose end is unreported, is not touched. Afterwards its id is free again, and a call with a token of the job is
 * "lost", also at a source that forgets: it remembers what was discarded for as long as a late call can come.
 *
 * Expiry. A job with `config.expires_in_seconds` that still waits (queued, delayed, for its retry or for other jobs)
 * that long after its creation, or its redrive, fails with EXPIRED. A running one is not interrupted; one that comes
 * back to the queue after its time expires then.
 */
export { attemptOutcomes, jobStatuses };

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
  /** Which run of the job: 1, and one more with every redrive. */
  readonly run: number;
  /** Since when the job was due: enqueued, or back on the queue, or its delay over. */
  readonly queuedAtMs: number;
  readonly takenAtMs: number;
  readonly expiresAtMs: number;
  /** Why the attempt before this one did not finish, when there was one. */
  readonly previousError?: ErrorReport;
  /** The job was pushed with wrong fields, which `job` lacks: it must not be run, but failed with this. */
  readonly rejection?: ErrorReport;
  /** What the platform calls the job, where it has a name of its own for it. */
  readonly requestId?: string;
}

/** The part of a lease that settling needs; small enough for the outbox. */
export type LeaseKey = Pick<Lease, "jobId" | "token" | "attempt">;

/** What one container can run now, for one worker. */
export interface Offer {
  /** Job types whose handler is here and works. */
  readonly types: readonly string[];
  /** Those of `types` that run when the job names no model: the handler needs none, or its own is here and loads. */
  readonly defaultModelTypes: readonly string[];
  /** Names (and aliases) of models that are here and load: what a job may name in `model_variant`. */
  readonly models: readonly string[];
}

/** Jobs of one user and type. */
export interface UserJobs {
  readonly userId: string;
  readonly type: string;
}

/** Of more than these, the first are skipped. */
export const maxSkipped = 32;

export interface TakeRequest {
  readonly worker: string;
  /** How many jobs of this worker can start now. */
  readonly slots: number;
  /**
   * Models that the worker's executor holds: among equals (same priority, same user), a job whose `model_variant` is one
   * of them goes first. At most 32 are looked at, and no job is passed over without end.
   */
  readonly heldModels?: readonly string[];
  /** Jobs outside of it are left where they are. Absent: everything. */
  readonly offer?: Offer;
  /** Whose jobs are left where they are for now, so that others' go first; at most `maxSkipped`. */
  readonly skip?: readonly UserJobs[];
}

/** A job that came to its end while no attempt ran, so that no container has reported it yet. */
export interface UnreportedEnd {
  readonly jobId: string;
  readonly job: Job;
  readonly run: number;
  /** Attempts charged so far, 0 when it never ran. */
  readonly attempt: number;
  readonly status: "failed" | "cancelled";
  /** Of a failed one: EXPIRED, DEPENDENCY_FAILED … */
  readonly error?: ErrorReport;
  readonly endedAtMs: number;
}

export interface Taken {
  readonly leases: readonly Lease[];
  /** For the caller to report; nobody else gets them within one lease time. */
  readonly ends: readonly UnreportedEnd[];
}

export interface Renewal {
  readonly lease: LeaseKey;
  /** 0 to 1, carried with the renewal so that progress costs no call of its own. */
  readonly progress?: number;
}

/**
 * `held`: go on. `cancelled`: its cancel was requested; the lease is still held, settle with `cancelled`. `lost`: stop.
 * `unknown`: the source has forgotten the job; go on.
 */
export type RenewalOutcome = "held" | "cancelled" | "lost" | "unknown";

/**
 * What the job became by a settling call: `complete` completed, `fail` failed, `cancelled` cancelled, `retry` and `release`
 * requeued, or cancelled when its cancel had been requested; failed where a source cannot have it back and this container is
 * stopping (`stopTaking`). `lost`: the token is not the job's newest, nothing was changed.
 * `unknown`: the source has forgotten the job, nothing was changed.
 */
export type SettleOutcome = "completed" | "failed" | "cancelled" | "requeued" | "lost" | "unknown";

/**
 * `jobs`: one may be due, or an end is to be reported. `ends`: an end alone, for who has no slot. `leases`: one that is held
 * may have been cancelled or lost.
 */
export type ChangeKind = "jobs" | "ends" | "leases";

/** How far the delivery of a job has come that was worked off under this lease. */
export interface NotedDelivery {
  readonly lease: LeaseKey;
  readonly note: DeliveryNote;
}

/** What is remembered of a finished job. */
export interface JobResult {
  readonly assets: readonly unknown[];
  readonly metadata: Readonly<Record<string, unknown>>;
  /** Of a job that makes text. */
  readonly text?: string | undefined;
}

/** The files of a result where they were stored, for a source that hands them over with it. */
export interface ResultFiles {
  /** Where others can read it for a while; null when nobody outside of this container can. */
  address(path: string): Promise<string | null>;
  /** The file itself; null when it is gone. What has more than `maxBytes` is not read. */
  read(path: string, maxBytes: number): Promise<Uint8Array | "too large" | null>;
}

/** What a running job has come to. */
export type JobUpdate =
  | { readonly kind: "progress"; readonly progress: number; readonly step: number; readonly total: number }
  /** What its text has got longer by. */
  | { readonly kind: "text"; readonly delta: string };

/** As sources store it, in JSON. */
export const storedResult = z.object({
  assets: z.array(z.unknown()),
  metadata: z.record(z.string(), z.unknown()),
  text: z.string().optional(),
});

/** How long an announced offer counts without being announced again: so long does a container that was killed seem to offer. */
export const offerTtlSeconds = 90;
/** How often it is announced; an announcement that fails is tried again before the one before it has run out. */
export const offerRenewSeconds = offerTtlSeconds / 2;

/** Of a job that its source could not have back when its container stopped. */
export const stoppedError: ErrorReport = {
  code: "SHUTTING_DOWN",
  message: "The container was stopped before the job was through: submit it again.",
};

export interface JobSource {
  readonly name: string;
  /** Seconds that a lease lasts without renewal. */
  readonly leaseSeconds: number;
  /** Longest time between two calls of `take` at rest; a source that is paid by the call sees to its own waiting. */
  readonly idleTakeSeconds?: number;
  /** How long a settled job is kept by a source that may answer "unknown": one that ended before that may be gone by right. */
  readonly keepSeconds?: number;
  /**
   * Leases up to `slots` due jobs for each worker: highest priority first, then the oldest. A job keeps its age when
   * it comes back to the queue. Never waits. Answers unreported ends too, of any worker; those alone when it asks for no
   * slot, and then it leaves every job where it is.
   */
  take(requests: readonly TakeRequest[]): Promise<Taken>;
  /** The ends, which this container was answered, are in its outbox, on disk: nobody need be answered them any more. Idempotent. */
  reported(ends: readonly Pick<UnreportedEnd, "jobId" | "run">[]): Promise<void>;
  /**
   * What this container offers, by worker; kept for `offerTtlSeconds`, so that it is to be announced again well before.
   * An empty map withdraws it.
   */
  announce?(offers: ReadonlyMap<string, Offer>): Promise<void>;
  /** One outcome for each renewal, in order. */
  renew(renewals: readonly Renewal[]): Promise<RenewalOutcome[]>;
  /**
   * Keeps with running jobs that they have been worked off and why their results have not reached the app. The notes
   * belong to the leases and go with them; what is not held any more is left as it is. Such a job cannot be cancelled.
   */
  noteDeliveries?(deliveries: readonly NotedDelivery[]): Promise<void>;
  /** For a source whose clients watch the job through it. Neither waits nor throws; what comes too fast is put together. */
  publish?(lease: LeaseKey, update: JobUpdate): void;
  /**
   * Why the result can never be handed over as it is (too large); null when it can. Requested before anybody is notified of
   * it, so that the job can fail with this instead.
   */
  refusalOf?(lease: LeaseKey, result: JobResult, files: ResultFiles): Promise<ErrorReport | null>;
  /**
   * Keeps what a failed attempt has printed (bounded) as long as the job, for people elsewhere; of a job that is not known,
   * nothing. Without it, logs stay with the container that ran the attempt.
   */
  keepLog?(log: AttemptLog): Promise<void>;
  /** @param files those of the result, from who has them; a source that keeps results keeps the paths, and reads none */
  complete(lease: LeaseKey, result: JobResult, files?: ResultFiles): Promise<SettleOutcome>;
  /** Back to the queue after `delaySeconds`; the attempt stays charged. A job whose cancel was requested becomes cancelled. */
  retry(
    lease: LeaseKey,
    options: { readonly error: ErrorReport; readonly delaySeconds: number },
  ): Promise<SettleOutcome>;
  /** To the dead letters: kept with its error, can be redriven. */
  fail(lease: LeaseKey, error: ErrorReport): Promise<SettleOutcome>;
  /**
   * Back to the queue, attempt not charged (shutdown), due now or after `delaySeconds`. A job whose cancel was requested
   * becomes cancelled. `reason` is kept with the attempt, bounded, so that people see why the job waits again.
   */
  release(lease: LeaseKey, delaySeconds?: number, reason?: ReleaseReason): Promise<SettleOutcome>;
  /** Ends a running job whose cancel was requested. Who holds the lease is believed: the request is not checked again. */
  cancelled(lease: LeaseKey): Promise<SettleOutcome>;
  /**
   * Resolves when there may be something for the caller, at `timeoutMs`, when `signal` aborts or at `close`; never
   * rejects. What happens between two waits ends the next one at once, and each change ends one wait, so that a loop
   * that has no slot for it does not spin. One loop waits for each kind: the one that takes for `jobs`, or for `ends` while
   * it has no slot, the one that renews for `leases`; what the one has heard, the other does not miss. Without `what`: any.
   */
  waitForChange(timeoutMs: number, signal: AbortSignal, what?: ChangeKind): Promise<void>;
  /**
   * This container takes nothing until it waits for `jobs` again: for a source that has jobs brought to it, whether or not
   * anybody waits for some at this moment.
   */
  pauseTaking?(): void;
  /**
   * This container is stopping: no take follows but one for ends, and what is given back from now on is not taken here again.
   * For a source that has jobs brought to it, or keeps some in this process: those fail with `stoppedError`. Resolves when
   * nothing is being brought any more, within seconds.
   */
  stopTaking?(): Promise<void>;
  close(): Promise<void>;
}

export type AttemptOutcome = (typeof attemptOutcomes)[number];

/** One attempt as it is kept with the job. A released attempt gives its number to the next one. */
export interface AttemptRecord {
  readonly attempt: number;
  readonly workerId: string;
  readonly startedAtMs: number;
  readonly endedAtMs: number | null;
  readonly outcome: AttemptOutcome;
  readonly error: ErrorReport | null;
  /** Of a released one: why its container gave the job back, when it said so. Kept of the newest at least. */
  readonly reason: ReleaseReason | null;
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
  /** What a queued job needs that no container offers; null when one does, and for any other job. */
  readonly waitingFor: UnofferedNeed | null;
  /** Of a running job that has been worked off: why its result has not reached the app yet. */
  readonly delivery: DeliveryNote | null;
  /**
   * Of a waiting job that `get` answers: 1 goes next, as far as priority and age tell; places beyond `maxExactPlace` are
   * not told apart. `waiting` has it too. Null for any other job, and in a
   * list.
   */
  readonly place: number | null;
  /** Of a waiting job: since when its queue is paused; null when it is not. */
  readonly pausedSinceMs: number | null;
}

/** Up to here a waiting job's place is counted: what is behind is one further. */
export const maxExactPlace = 10_000;

export interface EnqueueOptions {
  readonly worker: string;
  readonly delaySeconds?: number;
  /**
   * A second enqueue of the same user with the same key answers the first one's job; with another body it is refused
   * (IDEMPOTENCY_CONFLICT). Bodies are compared without `id` and `created_at`, which producers make anew each time.
   */
  readonly idempotencyKey?: string;
  /** Of a job that its source has forgotten: its runs go on to be counted from here. By default 1. */
  readonly run?: number;
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

/** Reading, checking and writing what one page holds takes the loop a few milliseconds. */
export const maxPageBytes = 1_048_576;

export interface QueueStats {
  readonly queue: string;
  readonly queued: number;
  readonly delayed: number;
  readonly running: number;
  readonly failed: number;
  /** Age of the oldest job that is due, null when none is. */
  readonly oldestQueuedSeconds: number | null;
  /** Due jobs that no live offer covers, by what they need; of the first 1,000 that wait, at least. */
  readonly unoffered: readonly UnofferedJobs[];
  /** Since when no container takes its jobs; null when they do. */
  readonly pausedSinceMs: number | null;
}

export interface UnofferedJobs extends UnofferedNeed {
  readonly jobs: number;
  readonly oldestSeconds: number;
}

/** Which jobs a change is meant for: all that is given must hold. */
export interface JobFilter {
  readonly statuses: readonly JobStatus[];
  readonly worker?: string | undefined;
  readonly type?: string | undefined;
  readonly userId?: string | undefined;
  /** Of the error of a failed job; no other job has it. */
  readonly code?: string | undefined;
  readonly createdBeforeMs?: number | undefined;
}

/** As little of a job as is needed to change it. */
export interface MatchedJob {
  readonly jobId: string;
  readonly status: JobStatus;
  /** Of a failed one: it would fail again. */
  readonly permanent: boolean;
}

export interface MatchedPage {
  readonly jobs: readonly MatchedJob[];
  /** For the next page; null when this is the last. A page may be empty and not the last. */
  readonly cursor: string | null;
}

/** How many jobs one call changes, so that it blocks nobody for long. */
export const maxChangedAtOnce = 50;

/** `settled`: there was nothing to cancel. */
export type CancelOutcome = "cancelled" | "requested" | "settled" | "missing";

/** `unreported`: it has ended, but its final callback is not in any container's outbox yet. Any other state: it has not ended. */
export type DiscardOutcome = "discarded" | "missing" | "unreported" | "queued" | "running";

/** Failed jobs of one worker, with one code and type. */
export interface FailureGroup {
  readonly worker: string;
  readonly code: string;
  /** Or `otherTypes`. */
  readonly type: string;
  readonly jobs: number;
  /** Those of them that would fail again. */
  readonly permanent: number;
  /** When a job last failed so. */
  readonly lastAtMs: number;
  /** The newest job of the group; null when it has gone in the meantime. */
  readonly newest: { readonly jobId: string; readonly message: string } | null;
}

/**
 * In a group and in a filter: types that have no group of their own, where anything may be pushed. They are no types' names, or
 * one too many.
 */
export const otherTypes = "(other)";

/** How many groups are shown, the one in which a job failed last first. */
export const maxFailureGroups = 200;

/** The producer's and operator's side of a source. Not every source has one (RunPod's queue has no listing). */
export interface JobQueue {
  /**
   * Puts a job on its worker's queue. A job id that was used for the same body answers `created: false`. A job that names
   * others of its user in `depends_on` waits until they have completed, and fails (DEPENDENCY_FAILED) when one does not.
   *
   * @throws CodedError BODY_TOO_LARGE (see job-body.ts); IDEMPOTENCY_CONFLICT when the key or the job id was used for another
   *   body; UNSUPPORTED_OPTION when jobs of this queue cannot wait for others
   */
  enqueue(job: Job, options: EnqueueOptions): Promise<EnqueueOutcome>;
  /**
   * `cancelled`: was queued, is settled. `requested`: is running, will be.
   * @throws JOB_NOT_FOUND, JOB_ALREADY_SETTLED, also for one that has been worked off and is being delivered
   */
  cancel(jobId: string): Promise<"cancelled" | "requested">;
  /**
   * Gives a waiting job another priority: it goes behind those that have it already, or among them by its age. Idempotent.
   * @throws JOB_NOT_FOUND, JOB_NOT_QUEUED
   */
  reprioritize(jobId: string, priority: number): Promise<void>;
  /** No container takes jobs of this worker until its queue is resumed. Idempotent: the first moment counts. */
  pauseQueue(worker: string): Promise<void>;
  resumeQueue(worker: string): Promise<void>;
  /** A failed job back to the queue, due now, as its next run, with its attempts (count and records) forgotten. @throws JOB_NOT_FOUND, JOB_NOT_FAILED */
  redrive(jobId: string): Promise<void>;
  get(jobId: string): Promise<JobRecord | null>;
  /** What `keepLog` has kept of an attempt of the job's newest run; null when there is none. */
  readLog?(jobId: string, attempt: number): Promise<AttemptLog | null>;
  /**
   * Newest first. A page whose jobs hold more than `maxPageBytes` together is shorter than its limit, though never empty.
   * @throws INVALID_REQUEST when the cursor is not one that a page returned
   */
  list(filter: ListFilter): Promise<JobPage>;
  /**
   * The first due jobs of a worker, in the order in which they go, each with its place. Fewer than `limit` where they hold
   * more than `maxPageBytes` together, though never none.
   */
  waiting(worker: string, limit: number): Promise<JobRecord[]>;
  stats(): Promise<QueueStats[]>;
  /**
   * The next of the jobs that the filter matches, for changes of many: bounded in time, whatever the queue holds. No job
   * is met twice; one that comes meanwhile may be missed. @throws INVALID_REQUEST as `list` does
   */
  match(
    filter: JobFilter,
    page: { readonly limit: number; readonly cursor?: string | undefined },
  ): Promise<MatchedPage>;
  /** As `cancel`, for at most `maxChangedAtOnce` jobs: what each became, in order. */
  cancelMany(jobIds: readonly string[]): Promise<CancelOutcome[]>;
  /**
   * Forgets at most `maxChangedAtOnce` jobs that have ended: records, attempts, keys. What has not ended stays, and what
   * no container has reported yet. Answers what became of each, in order.
   */
  discard(jobIds: readonly string[]): Promise<DiscardOutcome[]>;
  /** Failed jobs by worker, code and type, at most `maxFailureGroups`; reads the newest job of each and no other. */
  failureGroups(): Promise<FailureGroup[]>;
  /**
   * How old an answer of `stats` may be for somebody who asks again and again: while jobs wait or run, and at rest. A
   * source that is paid by the call says it; of others a few seconds are enough.
   */
  readonly statsAge?: { readonly busySeconds: number; readonly restSeconds: number };
}
