import { randomUUID } from "node:crypto";
import { CodedError } from "#contract/errors.ts";
import { shortened } from "#contract/problems.ts";
import { type KeptSubmission, submissionOf } from "#runtime/endpoints/endpoint-job.ts";
import type { JobQueues } from "#runtime/sources/job-queues.ts";
import { isSettled, type JobRecord, type ListFilter } from "#runtime/sources/job-source.ts";
import { type EndedReadings, loadOf } from "./endpoint-health.ts";
import type { LiveJobs } from "./live-jobs.ts";
import { recordOfRequest } from "./request-record.ts";
import { isFinal, type StatusBody, statusBody, statusOf } from "./status-body.ts";
import { readSubmission } from "./submission.ts";

/*
 * RunPod's endpoint in front of any queue: a job is submitted, watched, cancelled and retried as RunPod's clients do it. The
 * record in the queue is the truth; how long a result can be read, and when a job is forgotten, is decided here, as RunPod
 * decides it.
 */
export interface EndpointBackend {
  readonly queue: Pick<JobQueues, "cancel" | "redrive" | "get" | "list" | "byName">;
  readonly live: LiveJobs;
  /** Puts the job on the queue; answers the request's id. @throws CodedError when it cannot be a job */
  enqueue(jobId: string, submission: KeptSubmission): Promise<string>;
  /** The output of a job that has ended. @param base where the caller reaches this server, with a slash at its end */
  output(record: JobRecord, base: string): Promise<unknown>;
  /** Why a job has failed, in place of its record's sentence. */
  error?(record: JobRecord): string | undefined;
  /** What the job has streamed and nobody has read, which is then taken as read. */
  drain(record: JobRecord): readonly unknown[];
  /** What its clients' containers do. */
  workers(endpoint: string): WorkerCounts;
  /** How many jobs went back to the queue because their containers were gone. */
  retried?(endpoint: string): number;
  /** A running job was cancelled: it need not wait for its container. */
  cancelRequested?(jobId: string): Promise<void>;
  /** Milliseconds between two reads of a record while nothing is heard of its job: it may run elsewhere. */
  readonly pollMs?: number;
  /** The worker in whose queue this endpoint's jobs wait; undefined where each may name another type. */
  workerOf(endpoint: string): string | undefined;
  readonly ended: EndedReadings;
  /** Which jobs are this endpoint's, as far as the queue tells them apart. */
  readonly filterOf?: (endpoint: string) => Pick<ListFilter, "worker">;
}

export interface WorkerCounts {
  readonly idle: number;
  readonly initializing: number;
  readonly ready: number;
  readonly running: number;
  readonly throttled: number;
  readonly unhealthy: number;
}

export interface Wait {
  readonly waitMs: number | undefined;
  readonly signal: AbortSignal;
  readonly base: string;
}

const defaultWaitMs = 90_000;
const streamWaitMs = 10_000;
const defaultPollMs = 500;
/** How long a result can be read. */
export const keptMs = { run: 30 * 60_000, runsync: 60_000 };
const pageSize = 100;
/** Of a queue that holds others' jobs too, no more is looked at for a count. */
const maxPages = 20;
const nameForm = /^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$/;

/** @throws CodedError NOT_FOUND */
export function checkEndpointName(endpoint: string): void {
  if (nameForm.test(endpoint)) return;
  throw new CodedError("NOT_FOUND", "An endpoint's name is 1 to 64 letters, digits, '-' or '_'.");
}

export class Endpoint {
  readonly #name: string;
  readonly #backend: EndpointBackend;
  readonly #nowMs: () => number;
  readonly #pollMs: number;

  constructor(name: string, backend: EndpointBackend, nowMs: () => number) {
    this.#name = name;
    this.#backend = backend;
    this.#nowMs = nowMs;
    this.#pollMs = backend.pollMs ?? defaultPollMs;
  }

  async run(body: unknown): Promise<StatusBody> {
    const id = await this.#backend.enqueue(randomUUID(), readSubmission(this.#name, "run", body));
    return { id, status: "IN_QUEUE" };
  }

  async runSync(body: unknown, wait: Wait): Promise<StatusBody> {
    const id = await this.#backend.enqueue(randomUUID(), readSubmission(this.#name, "runsync", body));
    return await this.statusSync(id, wait);
  }

  async status(requestId: string, base: string): Promise<StatusBody> {
    return this.#view(await this.#find(requestId), base);
  }

  /** The status when it is final, or when the wait is over. */
  async statusSync(requestId: string, { waitMs = defaultWaitMs, signal, base }: Wait): Promise<StatusBody> {
    const untilMs = this.#nowMs() + waitMs;
    for (;;) {
      const record = await this.#find(requestId);
      const leftMs = untilMs - this.#nowMs();
      if (isFinal(statusOf(record)) || leftMs <= 0 || signal.aborted) return this.#view(record, base);
      await this.#backend.live.wait(record.job.id, Math.min(this.#pollMs, leftMs), signal);
    }
  }

  /** Chunks that nobody has read: held until there are some, the job has ended, or the wait is over. */
  async stream(requestId: string, { waitMs = streamWaitMs, signal }: Wait) {
    const untilMs = this.#nowMs() + waitMs;
    for (;;) {
      const record = await this.#find(requestId);
      const status = statusOf(record);
      // Read after the state: what a final answer lacks is never read.
      const stream = this.#backend.drain(record).map((output) => ({ output }));
      const leftMs = untilMs - this.#nowMs();
      if (stream.length > 0 || isFinal(status) || leftMs <= 0 || signal.aborted) return { status, stream };
      await this.#backend.live.wait(record.job.id, Math.min(this.#pollMs, leftMs), signal);
    }
  }

  async cancel(requestId: string): Promise<StatusBody> {
    const record = await this.#find(requestId);
    const jobId = record.job.id;
    if (isSettled(record.status)) return { id: requestId, status: statusOf(record) };
    const outcome = await this.#backend.queue.cancel(jobId).catch((error: unknown) => {
      if (error instanceof CodedError && error.code === "JOB_ALREADY_SETTLED") return "settled";
      throw error;
    });
    if (outcome === "requested") await this.#backend.cancelRequested?.(jobId);
    this.#backend.live.changed(jobId);
    return { id: requestId, status: outcome === "settled" ? statusOf(await this.#find(requestId)) : "CANCELLED" };
  }

  async retry(requestId: string): Promise<StatusBody> {
    const record = await this.#find(requestId);
    const status = statusOf(record);
    if (status !== "FAILED" && status !== "TIMED_OUT") {
      throw new CodedError("INVALID_REQUEST", `The job is ${status}: only one that is FAILED or TIMED_OUT is retried.`);
    }
    this.#backend.live.restart(record.job.id);
    await this.#backend.queue.redrive(record.job.id);
    return { id: requestId, status: "IN_QUEUE" };
  }

  /** Cancels what waits; what runs goes on. */
  async purgeQueue() {
    let removed = 0;
    const ids: string[] = [];
    for await (const { job } of this.#records("queued", Infinity)) ids.push(job.id);
    for (const id of ids) {
      try {
        if ((await this.#backend.queue.cancel(id)) === "cancelled") removed++;
      } catch (error) {
        // It has ended, or gone, meanwhile.
        if (!(error instanceof CodedError)) throw error;
      }
    }
    return { removed, status: "completed" };
  }

  async health() {
    const backend = this.#backend;
    const count = async (status: JobRecord["status"]) => {
      let found = 0;
      for await (const _ of this.#records(status)) found++;
      return found;
    };
    const [{ inQueue, inProgress }, { completed, failed }] = await Promise.all([
      loadOf(backend.queue, backend.workerOf(this.#name)),
      backend.ended.of(this.#name, async () => ({
        completed: await count("completed"),
        failed: await count("failed"),
      })),
    ]);
    const retried = backend.retried?.(this.#name) ?? 0;
    return { jobs: { completed, failed, inProgress, inQueue, retried }, workers: backend.workers(this.#name) };
  }

  /** The newest jobs. RunPod documents no shape of this answer. */
  async requests() {
    const { live } = this.#backend;
    const requests: StatusBody[] = [];
    for await (const record of this.#records(undefined)) {
      requests.push(statusBody(record, live.peek(record.job.id), undefined));
      if (requests.length === pageSize) break;
    }
    return { requests };
  }

  async #view(record: JobRecord, base: string): Promise<StatusBody> {
    const output = isSettled(record.status) ? await this.#backend.output(record, base) : undefined;
    return statusBody(record, this.#backend.live.peek(record.job.id), output, this.#backend.error?.(record));
  }

  /** @throws CodedError JOB_NOT_FOUND, also for a job whose time is over */
  async #find(requestId: string): Promise<JobRecord> {
    const record = await recordOfRequest(this.#backend.queue, requestId);
    if (record !== null && this.#isKept(record)) return record;
    const shown = JSON.stringify(shortened(requestId));
    throw new CodedError("JOB_NOT_FOUND", `There is no request ${shown} at this endpoint.`);
  }

  #isKept({ job, createdAtMs, settledAtMs }: JobRecord): boolean {
    const submission = submissionOf(job.metadata);
    if (submission?.endpoint !== this.#name) return false;
    const nowMs = this.#nowMs();
    if (nowMs - createdAtMs > submission.ttlMs) return false;
    return settledAtMs === null || nowMs - settledAtMs <= keptMs[submission.idForm === "runsync" ? "runsync" : "run"];
  }

  /** The endpoint's own, newest first: a page of them in memory at a time, each of which may have a megabyte. */
  async *#records(status: JobRecord["status"] | undefined, pages = maxPages): AsyncGenerator<JobRecord> {
    const filter = { ...this.#backend.filterOf?.(this.#name), ...(status === undefined ? {} : { status }) };
    let cursor: string | undefined;
    for (let read = 0; read < pages; read++) {
      const from = cursor === undefined ? {} : { cursor };
      const page = await this.#backend.queue.list({ ...filter, limit: pageSize, ...from });
      for (const record of page.jobs) if (this.#isKept(record)) yield record;
      if (page.cursor === null) return;
      cursor = page.cursor;
    }
  }
}
