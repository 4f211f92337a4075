import { isSettled, type JobStatus, type RenewalOutcome, type SettleOutcome } from "#runtime/sources/job-source.ts";
import type { SettleCall } from "./harness.ts";

/*
 * For tests: the contract of job-source.ts once more, in memory and as plainly as it can be said, to compare random
 * sequences of calls against. One worker's queue.
 */
export interface ModelJob {
  readonly id: string;
  readonly priority: number;
  status: JobStatus;
  attempt: number;
  cancelRequested: boolean;
  availableAtMs: number;
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

export class ModelQueue {
  readonly leaseMs: number;
  nowMs = 0;
  /** In the order of arrival. */
  readonly jobs = new Map<string, ModelJob>();
  readonly #ended = new Map<string, { readonly jobId: string; readonly how: string }>();

  constructor(leaseMs: number) {
    this.leaseMs = leaseMs;
  }

  enqueue(id: string, priority: number, delayMs: number): boolean {
    if (this.jobs.has(id)) return false;
    const availableAtMs = this.nowMs + delayMs;
    const fresh = { attempt: 0, cancelRequested: false, token: null, expiresAtMs: null };
    this.jobs.set(id, { id, priority, status: "queued", availableAtMs, ...fresh });
    return true;
  }

  /** Ids that a take must give out, in order. */
  dueIds(slots: number): string[] {
    this.#expire();
    return [...this.jobs.values()]
      .filter((job) => job.status === "queued" && job.availableAtMs <= this.nowMs)
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
    return "cancelled";
  }

  redrive(id: string): "redriven" | Refusal {
    const job = this.jobs.get(id);
    if (job === undefined) return "JOB_NOT_FOUND";
    if (job.status !== "failed") return "JOB_NOT_FAILED";
    Object.assign(job, { status: "queued", attempt: 0, cancelRequested: false, availableAtMs: this.nowMs });
    for (const [token, { jobId }] of this.#ended) if (jobId === id) this.#ended.delete(token);
    return "redriven";
  }

  #expire(): void {
    for (const job of this.jobs.values()) {
      if (job.status !== "running" || job.expiresAtMs === null || job.expiresAtMs > this.nowMs) continue;
      if (job.cancelRequested) this.#end(job, "cancelled");
      else Object.assign(job, { status: "queued", availableAtMs: job.expiresAtMs, expiresAtMs: null });
    }
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
