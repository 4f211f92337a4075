import { randomUUID } from "node:crypto";
import { type AttemptLog, attemptLog } from "#contract/attempt-log.ts";
import { CodedError } from "#contract/errors.ts";
import type { Job } from "#contract/job.ts";
import { jobBody } from "../job-body.ts";
import {
  type CancelOutcome,
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
  maxFailureGroups,
  maxPageBytes,
  type QueueStats,
} from "../job-source.ts";
import type { SourceTrouble } from "../source-definition.ts";
import { discardJobs, forUuids, matchJobs, readFailureGroups } from "./many-jobs.ts";
import type { ResolvedOptions } from "./options.ts";
import * as replies from "./replies.ts";
import { RpcClient } from "./rpc-client.ts";

/** Jobs that go over Redis are in the same table; they are asked for there. */
const only_source = "supabase";
const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;
const cursorShape = /^[1-9]\d{0,14}$/;

/** The producer's and operator's side; `SupabaseSource` adds the side that runs jobs. */
export class SupabaseQueue implements JobQueue {
  protected readonly options: ResolvedOptions;
  protected readonly client: RpcClient;

  constructor(options: ResolvedOptions) {
    this.options = options;
    this.client = new RpcClient(options);
  }

  /** Counting reads the table of jobs, which is in the app's own database. */
  readonly statsAge = { busySeconds: 15, restSeconds: 60 };

  get trouble(): SourceTrouble | null {
    return this.client.trouble;
  }

  /** Requests that this source has made. */
  get requests(): number {
    return this.client.requests;
  }

  /**
   * A job may name others in `depends_on`, by their ids: it waits until all of them have completed, and fails when one
   * does not.
   */
  async enqueue(job: Job, options: EnqueueOptions): Promise<EnqueueOutcome> {
    jobBody(job);
    const args = {
      job,
      options: {
        source: only_source,
        worker: options.worker,
        // A repeated call knows by it that the job which is there is its own.
        request: randomUUID(),
        ...(options.delaySeconds === undefined ? {} : { delay_seconds: options.delaySeconds }),
        ...(options.idempotencyKey === undefined ? {} : { idempotency_key: options.idempotencyKey }),
      },
    };
    const answer = await this.client.call("enqueue_job", { args: () => args, answer: replies.enqueued });
    if (answer.created) this.jobsChanged();
    return { jobId: answer.job_id, created: answer.created, position: answer.position };
  }

  async cancel(jobId: string): Promise<"cancelled" | "requested"> {
    const args = operatorArgs(jobId);
    const { outcome } = await this.client.call("request_cancel", { args: () => args, answer: replies.cancelled });
    if (outcome === "requested") this.leasesChanged();
    else this.endsChanged();
    return outcome;
  }

  async reprioritize(jobId: string, priority: number): Promise<void> {
    const { job_id } = operatorArgs(jobId);
    const args = () => ({ job_id, only_source, priority });
    await this.client.call("set_job_priority", { args, answer: replies.reprioritized });
    this.jobsChanged();
  }

  async pauseQueue(worker: string): Promise<void> {
    await this.client.call("pause_queue", { args: () => ({ worker, paused: true }), answer: replies.paused });
  }

  async resumeQueue(worker: string): Promise<void> {
    await this.client.call("pause_queue", { args: () => ({ worker, paused: false }), answer: replies.paused });
    this.jobsChanged();
  }

  async redrive(jobId: string): Promise<void> {
    const args = operatorArgs(jobId);
    await this.client.call("redrive_job", { args: () => args, answer: replies.redriven });
    this.jobsChanged();
  }

  async get(jobId: string): Promise<JobRecord | null> {
    if (!uuid.test(jobId)) return null;
    const args = () => ({ job_id: jobId, only_source });
    const row = await this.client.call("get_job", { args, answer: replies.record.nullable() });
    return row === null ? null : replies.toJobRecord(row);
  }

  readLog(job_id: string, attempt: number): Promise<AttemptLog | null> {
    const args = () => ({ job_id, attempt });
    return this.client.call("read_attempt_log", { args, answer: attemptLog.nullable() });
  }

  async list(filter: ListFilter): Promise<JobPage> {
    const { worker, status, type, userId: user_id, limit, cursor } = filter;
    if (cursor !== undefined && !cursorShape.test(cursor)) {
      throw new CodedError("INVALID_REQUEST", `The cursor "${cursor}" is not one that a page returned.`);
    }
    const before = cursor === undefined ? undefined : Number(cursor);
    const wanted = { worker, status, type, user_id, limit, before, source: only_source, max_bytes: maxPageBytes };
    const page = await this.client.call("list_jobs", { args: () => ({ filter: wanted }), answer: replies.records });
    const last = page.at(-1);
    return { jobs: page.map(replies.toJobRecord), cursor: last?.more ? String(last.sequence) : null };
  }

  async waiting(worker: string, limit: number): Promise<JobRecord[]> {
    const args = () => ({ worker, max_jobs: limit, max_bytes: maxPageBytes });
    const rows = await this.client.call("waiting_jobs", { args, answer: replies.waiting });
    return rows.map((row, index) => ({ ...replies.toJobRecord(row), place: index + 1 }));
  }

  async stats(): Promise<QueueStats[]> {
    const queues = await this.client.call("queue_stats", { args: () => ({ only_source }), answer: replies.stats });
    return queues.map(({ oldest_queued_seconds, paused_since_ms, ...counts }) => ({
      ...counts,
      oldestQueuedSeconds: oldest_queued_seconds,
      pausedSinceMs: paused_since_ms,
    }));
  }

  match(
    filter: JobFilter,
    page: { readonly limit: number; readonly cursor?: string | undefined },
  ): Promise<MatchedPage> {
    return matchJobs(this.client, only_source, filter, page);
  }

  async cancelMany(jobIds: readonly string[]): Promise<CancelOutcome[]> {
    const request = randomUUID();
    const outcomes = await forUuids(jobIds, isUuid, (job_ids) => {
      const args = () => ({ job_ids, only_source, request });
      return this.client.call("cancel_jobs", { args, answer: replies.cancelledMany });
    });
    if (outcomes.includes("requested")) this.leasesChanged();
    if (outcomes.includes("cancelled")) this.endsChanged();
    return outcomes;
  }

  discard(jobIds: readonly string[]): Promise<DiscardOutcome[]> {
    return forUuids(jobIds, isUuid, (ids) => discardJobs(this.client, only_source, ids));
  }

  failureGroups(): Promise<FailureGroup[]> {
    return readFailureGroups(this.client, only_source, maxFailureGroups);
  }

  /** Called after a change that somebody in this process may be waiting for; nobody waits for a queue alone. */
  protected jobsChanged(): void {}

  /** Called after a job was brought to its end, which is to be reported. */
  protected endsChanged(): void {}

  protected leasesChanged(): void {}
}

function isUuid(id: string): boolean {
  return uuid.test(id);
}

/** @throws CodedError JOB_NOT_FOUND for what cannot be the id of a job here */
function operatorArgs(jobId: string) {
  // By `request`, a repeated call knows what it has changed itself.
  if (uuid.test(jobId)) return { job_id: jobId, only_source, request: randomUUID() };
  throw new CodedError("JOB_NOT_FOUND", `There is no job ${jobId}.`);
}
