import { isCovered } from "#contract/queue-offers.ts";
import { needOf } from "#runtime/sources/job-need.ts";
import {
  isSettled,
  type JobStatus,
  type Offer,
  type RenewalOutcome,
  type SettleOutcome,
  type UnreportedEnd,
} from "#runtime/sources/job-source.ts";
import type { SettleCall } from "./harness.ts";

/*
 * For tests: the contract of job-source.ts once more, in memory and as plainly as it can be said, to compare random
 * sequences of calls against. One worker's queue.
 */
/** What a job was enqueued with. */
export interface ModelBody {
  readonly priority: number;
  readonly model: string | null;
  readonly expiresInMs: number | null;
}

export interface ModelJob extends ModelBody {
  readonly id: string;
  status: JobStatus;
  run: number;
  attempt: number;
  cancelRequested: boolean;
  availableAtMs: number;
  /** When it fails if it still waits; null: never. */
  deadlineMs: number | null;
  /** From when on its end is answered to be reported; null: nothing is to be reported. */
  reportAtMs: number | null;
  /** Newest token that nobody has settled. */
  token: string | null;
  expiresAtMs: number | null;
}

type Refusal = "JOB_NOT_FOUND" | "JOB_ALREADY_SETTLED" | "JOB_NOT_FAILED";

/** How a token's lease ended; a second call that ends leases in the same way was said before. */
const ends: Readonly<Record<SettleCall, string>> = {
  complete: "completed",
  retry: "retried",
  fail: "failed",
  release: "released",
  cancelled: "cancelled",
};

const outcomes: Readonly<Record<string, SettleOutcome>> = {
  completed: "completed",
  retried: "requeued",
  failed: "failed",
  released: "requeued",
  cancelled: "cancelled",
};

/** The fields of a job that the model knows, as they are enqueued. */
export function toEnvelope({ priority, model, expiresInMs }: ModelBody) {
  return {
    type: "sdxl_image_fast",
    priority,
    ...(model === null ? {} : { model_variant: model }),
    ...(expiresInMs === null ? {} : { config: { expires_in_seconds: expiresInMs / 1000 } }),
  };
}

export class ModelQueue {
  readonly leaseMs: number;
  nowMs = 0;
  /** In the order of arrival. */
  readonly jobs = new Map<string, ModelJob>();
  readonly #ended = new Map<string, { readonly jobId: string; readonly how: string }>();

  constructor(leaseMs: number) {
    this.leaseMs = leaseMs;
  }

  enqueue(id: string, body: ModelBody, delayMs: number): boolean {
    if (this.jobs.has(id)) return false;
    const availableAtMs = this.nowMs + delayMs;
    const fresh = { run: 1, attempt: 0, cancelRequested: false, token: null, expiresAtMs: null, reportAtMs: null };
    const deadlineMs = this.#deadlineMs(body);
    this.jobs.set(id, { id, ...body, status: "queued", availableAtMs, deadlineMs, ...fresh });
    return true;
  }

  /** What every take begins with: leases that ran out, and jobs whose time is over. */
  sweep(): void {
    this.#expire();
    for (const job of this.jobs.values()) {
      if (job.status !== "queued" || job.deadlineMs === null || job.deadlineMs > this.nowMs) continue;
      this.#end(job, "failed");
      job.reportAtMs = this.nowMs;
    }
  }

  /** Ends that a take must answer, which nobody else is answered for the time of a lease. */
  takeEnds(): Pick<UnreportedEnd, "jobId" | "run" | "attempt" | "status">[] {
    const ends: ReturnType<ModelQueue["takeEnds"]> = [];
    for (const job of this.jobs.values()) {
      const { id: jobId, run, attempt, status, reportAtMs } = job;
      if (reportAtMs === null || reportAtMs > this.nowMs) continue;
      if (status !== "failed" && status !== "cancelled") throw new Error(`${jobId} is ${status}: it has no end`);
      ends.push({ jobId, run, attempt, status });
      job.reportAtMs = this.nowMs + this.leaseMs;
    }
    return ends;
  }

  reported(id: string, run: number): void {
    const job = this.#job(id);
    if (job.run === run) job.reportAtMs = null;
  }

  /** Ids that a take must give out, in order. */
  dueIds(slots: number, offer: Offer | undefined): string[] {
    return [...this.jobs.values()]
      .filter((job) => job.status === "queued" && job.availableAtMs <= this.nowMs)
      .filter((job) => offer === undefined || isCovered(needOf(toEnvelope(job)), offer))
      .sort((a, b) => b.priority - a.priority)
      .slice(0, slots)
      .map((job) => job.id);
  }

  lease(id: string, token: string): void {
    const job = this.#job(id);
    Object.assign(job, { status: "running", token, attempt: job.attempt + 1, expiresAtMs: this.nowMs + this.leaseMs });
  }

  renew(id: string, token: string): RenewalOutcome {
    const job = this.#job(id);
    if (job.token !== token) return "lost";
    Object.assign(job, { status: "running", expiresAtMs: this.nowMs + this.leaseMs });
    return job.cancelRequested ? "cancelled" : "held";
  }

  settle(call: SettleCall, id: string, token: string, delayMs: number): SettleOutcome {
    const job = this.#job(id);
    if (job.token !== token) return this.#answeredBefore(call, id, token);
    const requeues = call === "retry" || call === "release";
    const how = requeues && job.cancelRequested ? "cancelled" : ends[call];
    this.#ended.set(token, { jobId: id, how });
    if (call === "release") job.attempt -= 1;
    if (how === "retried" || how === "released") {
      Object.assign(job, { status: "queued", availableAtMs: this.nowMs + (call === "retry" ? delayMs : 0) });
      Object.assign(job, { token: null, expiresAtMs: null });
    } else {
      this.#end(job, how === "completed" || how === "failed" ? how : "cancelled");
      if (requeues) job.reportAtMs = this.nowMs + this.leaseMs;
    }
    return outcomes[how] ?? "lost";
  }

  cancel(id: string): "cancelled" | "requested" | Refusal {
    this.#expire();
    const job = this.jobs.get(id);
    if (job === undefined) return "JOB_NOT_FOUND";
    if (isSettled(job.status)) return "JOB_ALREADY_SETTLED";
    job.cancelRequested = true;
    if (job.status === "running") return "requested";
    this.#end(job, "cancelled");
    job.reportAtMs = this.nowMs;
    return "cancelled";
  }

  redrive(id: string): "redriven" | Refusal {
    const job = this.jobs.get(id);
    if (job === undefined) return "JOB_NOT_FOUND";
    if (job.status !== "failed") return "JOB_NOT_FAILED";
    Object.assign(job, { status: "queued", attempt: 0, cancelRequested: false, availableAtMs: this.nowMs });
    Object.assign(job, { run: job.run + 1, reportAtMs: null, deadlineMs: this.#deadlineMs(job) });
    for (const [token, { jobId }] of this.#ended) if (jobId === id) this.#ended.delete(token);
    return "redriven";
  }

  #expire(): void {
    for (const job of this.jobs.values()) {
      if (job.status !== "running" || job.expiresAtMs === null || job.expiresAtMs > this.nowMs) continue;
      if (job.cancelRequested) {
        this.#end(job, "cancelled");
        job.reportAtMs = this.nowMs;
      } else Object.assign(job, { status: "queued", availableAtMs: job.expiresAtMs, expiresAtMs: null });
    }
  }

  #deadlineMs({ expiresInMs }: ModelBody): number | null {
    return expiresInMs === null ? null : this.nowMs + expiresInMs;
  }

  #end(job: ModelJob, status: JobStatus): void {
    Object.assign(job, { status, token: null, expiresAtMs: null });
  }

  #answeredBefore(call: SettleCall, id: string, token: string): SettleOutcome {
    const ended = this.#ended.get(token);
    const endedByCancel = ended?.how === "cancelled" && (call === "retry" || call === "release");
    if (ended?.jobId !== id || (ended.how !== ends[call] && !endedByCancel)) return "lost";
    return outcomes[ended.how] ?? "lost";
  }

  #job(id: string): ModelJob {
    const job = this.jobs.get(id);
    if (job === undefined) throw new Error(`the model has no job ${id}`);
    return job;
  }
}
