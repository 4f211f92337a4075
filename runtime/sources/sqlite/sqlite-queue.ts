import { isDeepStrictEqual } from "node:util";
import { z } from "zod";
import { CodedError, type ErrorReport } from "#contract/errors.ts";
import { expiryMsOf } from "#contract/expiry.ts";
import type { Job } from "#contract/job.ts";
import type { Database } from "#runtime/lib/database/database.ts";
import type { Query } from "#runtime/lib/database/statements.ts";
import { inBatches } from "#runtime/lib/in-batches.ts";
import { jobBody } from "../job-body.ts";
import {
  type CancelOutcome,
  type ChangeKind,
  type DiscardOutcome,
  type EnqueueOptions,
  type EnqueueOutcome,
  type FailureGroup,
  type JobFilter,
  type JobPage,
  type JobQueue,
  type JobRecord,
  type ListFilter,
  type MatchedPage,
  maxExactPlace,
  maxPageBytes,
  type QueueStats,
  refuseDependencies,
} from "../job-source.ts";
import { notQueued } from "../not-queued.ts";
import { nothingToCancel } from "../nothing-to-cancel.ts";
import { LiveOffers } from "./live-offers.ts";
import { ManyJobs } from "./many-jobs.ts";
import { type JobRow, jobRow, type SizeRow, sizeRow, toJobRecord, toQueueStats } from "./rows.ts";
import * as sql from "./sql.ts";
import { prepareQueueStatements } from "./statements.ts";

const leaseExpired: ErrorReport = {
  code: "LEASE_EXPIRED",
  message: "The lease ran out before the attempt ended: its container crashed, hung or was cut off.",
};

/** Rows that one transaction of `prune` deletes, so that it holds the write lock for milliseconds only. */
const pruneBatch = 500;

const cursorSchema = z
  .string()
  .regex(/^[1-9]\d{0,14}$/)
  .transform(Number);

interface PageQueries {
  readonly sizes: Query<SizeRow>;
  readonly jobs: Query<JobRow>;
}

/** The producer's and operator's side of the embedded source; `SqliteSource` adds the side that runs jobs. */
export class SqliteQueue implements JobQueue {
  protected readonly database: Database;
  protected readonly nowMs: () => number;
  readonly #statements: ReturnType<typeof prepareQueueStatements>;
  protected readonly offers: LiveOffers;
  readonly #pages = new Map<string, PageQueries>();
  readonly #many: ManyJobs;

  constructor(database: Database, nowMs: () => number = Date.now) {
    this.database = database;
    this.nowMs = nowMs;
    this.offers = new LiveOffers(database, nowMs);
    this.#many = new ManyJobs(database);
    this.#statements = prepareQueueStatements(database);
  }

  async enqueue(job: Job, options: EnqueueOptions): Promise<EnqueueOutcome> {
    refuseDependencies(job);
    const body = jobBody(job);
    this.database.requireFile();
    const outcome = await this.database.write(() => {
      const key = options.idempotencyKey;
      const earlier = this.#earlierJob(job, key);
      const row = earlier ?? this.#insert(job, body, options);
      if (key !== undefined) this.#statements.insertKey.run({ user_id: job.user_id, key, sequence: row.sequence });
      return { jobId: row.body.id, created: earlier === undefined, position: this.#position(row) };
    });
    if (outcome.created) this.changed("jobs");
    return outcome;
  }

  async cancel(jobId: string): Promise<"cancelled" | "requested"> {
    this.database.requireFile();
    const { cancelled, job } = await this.database.write(() => {
      // A job whose container is gone need not wait for its next one to be cancelled.
      this.expireLeases();
      const cancelled = this.#statements.cancelJob.run({ id: jobId, now_ms: this.nowMs() }) > 0;
      return { cancelled, job: this.#statements.jobById.get({ id: jobId }) };
    });
    if (job === undefined) throw jobNotFound(jobId);
    if (!cancelled) {
      throw nothingToCancel(jobId, job.delivery ?? job.status);
    }
    if (job.status === "cancelled") {
      this.changed("ends");
      return "cancelled";
    }
    this.changed("leases");
    return "requested";
  }

  async reprioritize(jobId: string, priority: number): Promise<void> {
    this.database.requireFile();
    await this.database.write(() => {
      this.expireLeases();
      if (this.#statements.setPriority.run({ id: jobId, priority }) > 0) return;
      const job = this.#statements.statusOf.get({ id: jobId });
      throw job === undefined ? jobNotFound(jobId) : notQueued(jobId, job.status);
    });
    this.changed("jobs");
  }

  async pauseQueue(worker: string): Promise<void> {
    this.database.requireFile();
    await this.database.write(() => this.#statements.pauseQueue.run({ worker, now_ms: this.nowMs() }));
  }

  async resumeQueue(worker: string): Promise<void> {
    this.database.requireFile();
    await this.database.write(() => this.#statements.resumeQueue.run({ worker }));
    this.changed("jobs");
  }

  async redrive(jobId: string): Promise<void> {
    this.database.requireFile();
    await this.database.write(() => {
      const job = this.#statements.jobById.get({ id: jobId });
      if (job === undefined) throw jobNotFound(jobId);
      if (job.status !== "failed") {
        throw new CodedError("JOB_NOT_FAILED", `Job ${jobId} is ${job.status}: only a failed job can be redriven.`);
      }
      const { sequence } = job;
      const now_ms = this.nowMs();
      this.#statements.redriveJob.run({ sequence, now_ms, expires_at_ms: expiryMsOf(job.body, now_ms) });
      this.#statements.forgetAttempts.run({ sequence });
    });
    this.changed("jobs");
  }

  async get(jobId: string): Promise<JobRecord | null> {
    this.database.requireFile();
    return this.database.read(() => {
      const row = this.#statements.jobById.get({ id: jobId });
      if (row === undefined) return null;
      return this.#records([row], row.status === "queued" ? this.#place(row) : null)[0] ?? null;
    });
  }

  async list(filter: ListFilter): Promise<JobPage> {
    const before = filter.cursor === undefined ? Number.MAX_SAFE_INTEGER : readCursor(filter.cursor);
    this.database.requireFile();
    return this.database.read(() => {
      // One row more than requested shows whether there is a next page.
      const conditions = {
        before,
        ...(filter.worker === undefined ? {} : { worker: filter.worker }),
        ...(filter.status === undefined ? {} : { status: filter.status }),
        ...(filter.type === undefined ? {} : { type: filter.type }),
        ...(filter.userId === undefined ? {} : { user_id: filter.userId }),
      };
      const { sizes, jobs } = this.#pageQueries(filter);
      const found = sizes.all({ ...conditions, limit: filter.limit + 1 });
      const limit = Math.min(filter.limit, fittingPage(found));
      const last = found[limit - 1];
      return {
        jobs: this.#records(limit === 0 ? [] : jobs.all({ ...conditions, limit })),
        cursor: last === undefined || found.length <= limit ? null : String(last.sequence),
      };
    });
  }

  async waiting(worker: string, limit: number): Promise<JobRecord[]> {
    this.database.requireFile();
    return this.database.read(() => {
      const fitting = fittingPage(this.#statements.waitingSizes.all({ worker, limit }));
      const rows = fitting === 0 ? [] : this.#statements.waitingJobs.all({ worker, limit: fitting });
      return this.#records(rows).map((record, index) => ({ ...record, place: index + 1 }));
    });
  }

  async stats(): Promise<QueueStats[]> {
    this.database.requireFile();
    return this.database.read(() => {
      const nowMs = this.nowMs();
      const findLack = this.offers.read();
      const paused = this.#paused();
      const counted = this.#statements.queueCounts.all({ now_ms: nowMs });
      const empty = [...paused.keys()].filter((worker) => counted.every((row) => row.worker !== worker));
      return [...counted, ...empty.map(emptyCounts)].map((row) => {
        const unoffered = row.queued === 0 ? [] : this.offers.unoffered(row.worker, findLack);
        return toQueueStats(row, unoffered, paused.get(row.worker) ?? null, nowMs);
      });
    });
  }

  async match(
    filter: JobFilter,
    page: { readonly limit: number; readonly cursor?: string | undefined },
  ): Promise<MatchedPage> {
    this.database.requireFile();
    return this.#many.match(filter, page);
  }

  async cancelMany(jobIds: readonly string[]): Promise<CancelOutcome[]> {
    this.database.requireFile();
    const outcomes = await this.database.write(() => {
      this.expireLeases();
      return jobIds.map((id): CancelOutcome => {
        const isChanged = this.#statements.cancelJob.run({ id, now_ms: this.nowMs() }) > 0;
        const status = this.#statements.statusOf.get({ id })?.status;
        if (status === undefined) return "missing";
        if (!isChanged) return "settled";
        return status === "cancelled" ? "cancelled" : "requested";
      });
    });
    if (outcomes.includes("cancelled")) this.changed("ends");
    if (outcomes.includes("requested")) this.changed("leases");
    return outcomes;
  }

  async discard(jobIds: readonly string[]): Promise<DiscardOutcome[]> {
    this.database.requireFile();
    return await this.#many.discard(jobIds);
  }

  async failureGroups(): Promise<FailureGroup[]> {
    this.database.requireFile();
    return this.#many.failureGroups();
  }

  /** Deletes jobs that were settled more than `olderThanMs` ago, failed ones too. Returns how many. */
  async prune(olderThanMs: number): Promise<number> {
    const before_ms = this.nowMs() - olderThanMs;
    return await inBatches(pruneBatch, (limit) =>
      this.database.writeSoon(() => this.#statements.pruneSettled.run({ before_ms, limit })),
    );
  }

  /** Called after a change that somebody in this process may be waiting for; nobody waits for a queue alone. */
  protected changed(_what: ChangeKind): void {}

  /** Jobs whose lease ran out back to the queue, the attempt charged. Part of a transaction. */
  protected expireLeases(): void {
    const parameters = { now_ms: this.nowMs(), error: JSON.stringify(leaseExpired) };
    this.#statements.expireAttempts.run(parameters);
    this.#statements.requeueExpired.run(parameters);
  }

  #earlierJob(job: Job, key: string | undefined): JobRow | undefined {
    const byKey = key === undefined ? undefined : this.#statements.jobByKey.get({ user_id: job.user_id, key });
    const earlier = byKey ?? this.#statements.jobById.get({ id: job.id });
    if (earlier === undefined || isDeepStrictEqual(request(earlier.body), request(job))) return earlier;
    const what = byKey === undefined ? `Job id ${job.id}` : `Idempotency key "${key}"`;
    throw new CodedError(
      "IDEMPOTENCY_CONFLICT",
      `${what} was used for a job with another body: send the same body again, or use a new one.`,
      { details: { jobId: earlier.body.id } },
    );
  }

  #insert(job: Job, body: string, { worker, delaySeconds = 0 }: EnqueueOptions): JobRow {
    const nowMs = this.nowMs();
    const row = this.#statements.insertJob.get({
      id: job.id,
      worker,
      type: job.type,
      user_id: job.user_id,
      model_variant: job.model_variant ?? null,
      priority: job.priority,
      body,
      now_ms: nowMs,
      available_at_ms: nowMs + Math.round(delaySeconds * 1000),
      expires_at_ms: expiryMsOf(job, nowMs),
    });
    if (row === undefined) throw new Error("an INSERT with RETURNING returned no row");
    return row;
  }

  #position(row: JobRow): number {
    return row.status === "queued" ? this.#place(row) : 0;
  }

  #place({ worker, priority, sequence }: JobRow): number {
    const ahead = this.#statements.jobsAhead.get({ worker, priority, sequence, limit: maxExactPlace })?.ahead ?? 0;
    return 1 + Math.min(ahead, maxExactPlace);
  }

  #paused(): ReadonlyMap<string, number> {
    return new Map(this.#statements.pausedQueues.all({}).map((row) => [row.worker, row.since_ms]));
  }

  #pageQueries(filter: ListFilter): PageQueries {
    const used = {
      worker: filter.worker !== undefined,
      status: filter.status !== undefined,
      type: filter.type !== undefined,
      userId: filter.userId !== undefined,
    };
    const text = sql.jobPage(used);
    const known = this.#pages.get(text);
    if (known !== undefined) return known;
    const prepared = {
      sizes: this.database.query(sql.jobPageSizes(used), sizeRow),
      jobs: this.database.query(text, jobRow),
    };
    this.#pages.set(text, prepared);
    return prepared;
  }

  #records(rows: readonly JobRow[], place: number | null = null): JobRecord[] {
    const sequences = JSON.stringify(rows.map((row) => row.sequence));
    const attempts = Map.groupBy(this.#statements.attemptsOf.all({ sequences }), (row) => row.job_sequence);
    const facts = { findLack: this.offers.read(), paused: this.#paused(), place };
    return rows.map((row) => toJobRecord(row, attempts.get(row.sequence) ?? [], facts));
  }
}

/** How many jobs of the beginning make one page: as many as fit, and one that fits nowhere. */
function fittingPage(sizes: readonly SizeRow[]): number {
  let total = 0;
  const end = sizes.findIndex(({ bytes }, place) => {
    total += bytes;
    return place > 0 && total > maxPageBytes;
  });
  return end === -1 ? sizes.length : end;
}

/** What a job requests, as it is stored: without its id and its producer's time stamp, which differ when it is sent again. */
function request(job: Job): unknown {
  const { id, created_at, ...body } = job;
  return JSON.parse(JSON.stringify(body));
}

function jobNotFound(jobId: string): CodedError {
  return new CodedError("JOB_NOT_FOUND", `There is no job ${jobId}.`);
}

function emptyCounts(worker: string) {
  return { worker, queued: 0, delayed: 0, running: 0, failed: 0, oldest_ms: null };
}

function readCursor(cursor: string): number {
  const parsed = cursorSchema.safeParse(cursor);
  if (parsed.success) return parsed.data;
  throw new CodedError("INVALID_REQUEST", `The cursor "${cursor}" is not one that a page returned.`);
}
