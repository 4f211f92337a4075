import { CodedError, type ErrorReport } from "#contract/errors.ts";
import type { Runtime } from "#runtime/container/runtime.ts";
import { isEnd, type LiveEvent } from "#runtime/dispatch/job-events.ts";
import type { PlannedJob } from "../job/build-job.ts";
import type { ProgressView } from "./progress-view.ts";
import type { RunEnd } from "./run-outcome.ts";
import { watchForStandstill } from "./standstill.ts";

/**
 * Puts one job on the queue of a runtime and follows it to its end.
 *
 *   enqueued ──► running ──► completed | failed | cancelled
 *      ▲            └── retry ──┐
 *      └────────────────────────┘        at any time, when nothing moves any more: failed | undelivered
 */
export class RunWatch {
  readonly #runtime: Runtime;
  readonly #planned: PlannedJob;
  readonly #view: ProgressView;
  readonly #end = Promise.withResolvers<RunEnd>();
  /** Seconds by stage, of the attempt that runs. */
  readonly #stages = new Map<string, number>();
  #step = 0;
  #total = 0;

  constructor(runtime: Runtime, planned: PlannedJob, view: ProgressView) {
    this.#runtime = runtime;
    this.#planned = planned;
    this.#view = view;
  }

  /** What the time of the last attempt went into, as its handler reported it. */
  get stages(): ReadonlyMap<string, number> {
    return this.#stages;
  }

  /** @param signal cancels the job; the end is then still waited for */
  run(signal: AbortSignal): Promise<RunEnd> {
    const { job, handler } = this.#planned;
    return this.#watch(signal, () => this.#runtime.queue.enqueue(job, { worker: handler.worker }));
  }

  /** Of a job that is on the queue already, or has been worked off. */
  follow(signal: AbortSignal): Promise<RunEnd> {
    return this.#watch(signal, async () => undefined);
  }

  async #watch(signal: AbortSignal, begin: () => Promise<unknown>): Promise<RunEnd> {
    const { job } = this.#planned;
    const { events } = this.#runtime;
    const unsubscribe = events.subscribe(job.id, ({ event }) => this.#see(event));
    const stopWatching = watchForStandstill(this.#runtime, this.#planned, (end) =>
      end === "settled" ? this.#finish() : this.#end.resolve(end),
    );
    const cancel = () => void this.#cancel();
    try {
      if (signal.aborted) return this.#cancelled();
      signal.addEventListener("abort", cancel);
      await begin();
      if (signal.aborted) cancel();
      return await this.#end.promise;
    } finally {
      signal.removeEventListener("abort", cancel);
      stopWatching();
      unsubscribe();
    }
  }

  #see(event: LiveEvent): void {
    if (event.kind === "progress") {
      this.#step = event.step;
      this.#total = event.total;
      this.#view.step(event.step, event.total);
    } else if (event.kind === "stage") {
      this.#stages.set(event.name, (this.#stages.get(event.name) ?? 0) + event.seconds);
    } else if (event.kind === "state") {
      this.#seeState(event);
    }
  }

  #seeState(event: Extract<LiveEvent, { kind: "state" }>): void {
    if (event.status === "running") {
      this.#stages.clear();
      this.#view.preparing();
    }
    if (event.status === "queued" && event.error !== undefined) {
      const seconds = Math.max(1, Math.round(event.retryInSeconds ?? 0));
      this.#view.note(`attempt ${event.attempt} failed: ${event.error.message} Trying again in ${seconds} s.`);
    }
    // No other container looks into the scratch folder.
    if (event.condition !== undefined) this.#end.resolve({ status: "failed", error: event.condition });
    if (isEnd(event)) this.#finish();
  }

  /** The job is settled: what its record says counts. */
  #finish(): void {
    void this.#settledEnd().then(this.#end.resolve, this.#end.reject);
  }

  async #settledEnd(): Promise<RunEnd> {
    const record = await this.#runtime.queue.get(this.#planned.job.id);
    switch (record?.status) {
      case "completed":
        return { status: "completed", result: record.result ?? { assets: [], metadata: {} } };
      case "cancelled":
        return this.#cancelled();
      default:
        return { status: "failed", error: record?.error ?? unknownFailure };
    }
  }

  async #cancel(): Promise<void> {
    try {
      const outcome = await this.#runtime.queue.cancel(this.#planned.job.id);
      if (outcome === "cancelled") this.#end.resolve(this.#cancelled());
    } catch (error) {
      // It came to its end in the meantime, and that end is on its way.
      const settled = error instanceof CodedError && error.code === "JOB_ALREADY_SETTLED";
      // It is not on the queue yet: whoever puts it there looks at the signal next.
      const early = error instanceof CodedError && error.code === "JOB_NOT_FOUND";
      if (!settled && !early) this.#end.reject(error);
    }
  }

  #cancelled(): RunEnd {
    return { status: "cancelled", step: this.#step, total: this.#total };
  }
}

const unknownFailure: ErrorReport = { code: "INTERNAL", message: "The job failed and left no reason." };
