import { setImmediate as nextTurn, setTimeout as pause } from "node:timers/promises";
import { type ErrorReport, toErrorReport } from "#contract/errors.ts";
import type { Executor } from "#runtime/executor/parent/executor.ts";
import { waitIsOver, within } from "#runtime/lib/within.ts";
import type { Logger } from "#runtime/observe/log.ts";
import type { Metrics } from "#runtime/observe/metrics/metrics.ts";
import { recordFailure } from "#runtime/observe/metrics/ports.ts";
import { traceFields } from "#runtime/observe/tracing/traceparent.ts";
import {
  type JobSource,
  type Lease,
  type Offer,
  stoppedError,
  type TakeRequest,
  type UnreportedEnd,
  type UserJobs,
} from "#runtime/sources/job-source.ts";
import type { JobRunner } from "./job-runner.ts";
import type { Settler } from "./settler.ts";

/*
 * The loop that takes jobs and gives each to an executor. It takes only what can start at once: a job that waits in a
 * container's memory is a job that no other container can take.
 *
 *   starting ──start──► running ──pause──► paused ──resume──► running
 *   starting ──pause──► paused, which the start leaves as it is; resumed before it, the container is starting again
 *   starting, running, paused ──stop──► stopped
 *
 * A container that has no slot, since all executors are busy or it is paused, goes on asking for ends that nobody has
 * reported: to report one is no work for an executor, and the app waits for it.
 */
export interface OfferedJobs {
  /** What this container can run now for the worker; undefined: everything. */
  of(worker: string): Offer | undefined;
  /** Whose jobs are to wait, so that others' go first. */
  skipped?(worker: string): readonly UserJobs[];
  /** Whose jobs are to be taken only where there are no others. */
  lastResorts?(worker: string): readonly UserJobs[];
  /** Resolves when the offers have been checked once, null from then on: a job that was taken before does not run before. */
  readonly checked?: Promise<void> | null;
}

export interface DispatcherOptions {
  readonly sources: readonly JobSource[];
  readonly executors: ReadonlyMap<string, Executor>;
  readonly runner: Pick<JobRunner, "run">;
  readonly settler: Pick<Settler, "report">;
  /** Without it, everything is taken. */
  readonly offers?: OfferedJobs;
  /** How many calls wait for the worker's executor: they go before the jobs on its queue. */
  waitingCalls?(worker: string): number;
  /** Whether something about this container keeps it from running any job; `wake` when that has changed. */
  isBlocked?(): boolean;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly random: () => number;
}

interface TakenLease {
  readonly lease: Lease;
  /** When its source was asked for it, on the process's own clock. */
  readonly takenAtMs: number;
}

interface SourceTrouble {
  readonly errors: number;
  readonly error: ErrorReport;
  /** Of the first of these errors. */
  readonly sinceMs: number;
  /** On the process's own clock. */
  readonly untilMs: number;
}

export const dispatcherStates = ["starting", "running", "paused", "stopped"] as const;
export type DispatcherState = (typeof dispatcherStates)[number];

/** Maximum wait before the next take from a source that reports no change. */
const defaultIdleTakeSeconds = 5;
/** How long jobs that were taken wait for the container's first look at its models: a part of their lease. */
const maxCheckMs = 5000;
/** How long the stop waits for what is still being brought to a source. */
const maxStopTakingMs = 4000;
const errorPauseMs = { first: 500, max: 30_000 };

export class Dispatcher {
  readonly #options: DispatcherOptions;
  readonly #stopping = new AbortController();
  readonly #jobs = new Set<Promise<void>>();
  readonly #reports = new Set<Promise<void>>();
  #state: DispatcherState = "starting";
  #isStarted = false;
  #wake: (() => void) | null = null;
  #poked = false;
  #loop: Promise<void> = Promise.resolve();
  #firstSource = 0;
  readonly #failed = Promise.withResolvers<string>();
  #failure: { readonly message: string; readonly sinceMs: number } | null = null;
  /** Sources that may have ends to report. */
  readonly #endsDue = new Set<JobSource>();
  readonly #troubles = new Map<JobSource, SourceTrouble>();
  /** Moment of the first take, for start-up measurements. */
  firstTakeAtMs: number | null = null;

  constructor(options: DispatcherOptions) {
    this.#options = options;
  }

  get state(): DispatcherState {
    return this.#state;
  }

  /** Sources that do not answer, and why. */
  get troubles() {
    return [...this.#troubles].map(([{ name }, { error, sinceMs }]) => ({ ...error, source: name, sinceMs }));
  }

  /** Why the loop has died, which it never should; null while it lives. No job is taken any more. */
  get failure(): { readonly message: string; readonly sinceMs: number } | null {
    return this.#failure;
  }

  /** Resolves with the reason should the loop die; nothing but a restart of the process mends that. */
  get failed(): Promise<string> {
    return this.#failed.promise;
  }

  start(): void {
    this.#isStarted = true;
    if (this.#state === "starting") this.#state = "running";
    for (const executor of this.#options.executors.values()) this.watch(executor);
    this.#loop = this.#run().catch((error: unknown) => {
      const { message } = toErrorReport(error);
      this.#failure = { message, sinceMs: Date.now() };
      this.#failed.resolve(message);
      this.#options.log.fatal({ error }, "the dispatcher has stopped taking jobs: restart the container");
    });
  }

  /** An executor that came to `executors` after the start. */
  watch(executor: Executor): void {
    executor.on("state", this.#poke);
  }

  /** What can be taken may have changed. */
  wake(): void {
    this.#poke();
  }

  /** Takes no more jobs. What is being taken at this moment is given back; jobs that run go on, and ends are reported. */
  pause(): void {
    if (this.#state === "paused" || this.#state === "stopped") return;
    this.#state = "paused";
    // A wait for jobs has some brought here.
    this.#poke();
    for (const source of this.#options.sources) source.pauseTaking?.();
  }

  resume(): void {
    if (this.#state === "paused") this.#state = this.#isStarted ? "running" : "starting";
    this.#poke();
  }

  /** Stops taking. Jobs that run go on; `settled` tells when they are through. */
  async stop(): Promise<void> {
    this.#state = "stopped";
    this.#stopping.abort();
    const stopped = Promise.all(this.#options.sources.map((source) => source.stopTaking?.()));
    for (const executor of this.#options.executors.values()) executor.off("state", this.#poke);
    await this.#loop;
    await within(maxStopTakingMs, stopped);
    // What such a source kept in this process has come to its end by that.
    await Promise.all(
      this.#options.sources.filter(({ stopTaking }) => stopTaking).map((source) => this.#take(source, [])),
    );
    await Promise.all(this.#reports);
  }

  /** Resolves when no job runs any more. */
  async settled(): Promise<void> {
    while (this.#jobs.size > 0) await Promise.allSettled(this.#jobs);
  }

  get activeJobs(): number {
    return this.#jobs.size;
  }

  /** Remembered when nobody waits yet, so that what happens during a take is not slept over. */
  readonly #poke = (): void => {
    this.#poked = true;
    this.#wake?.();
  };

  async #run(): Promise<void> {
    while (!this.#stopping.signal.aborted) {
      const isIdle = this.#idleWorkers(true).length > 0;
      if (this.#state === "paused" || !isIdle || this.#options.isBlocked?.() === true) {
        await this.#takeEnds();
        await this.#waitForExecutor();
      } else if ((await this.#takeNext()) === 0) {
        await this.#waitForJobs();
      } else {
        // Whatever the jobs are, timers and sockets get their turn between two takes.
        await nextTurn();
      }
    }
  }

  /** @param hasLastResorts whether jobs may be taken that are to be taken only where there are no others */
  #idleWorkers(hasLastResorts: boolean): TakeRequest[] {
    const { executors, offers, waitingCalls } = this.#options;
    return [...executors.values()]
      .filter(({ available, worker }) => available && (waitingCalls?.(worker) ?? 0) === 0)
      .map(({ worker, heldModels }) => {
        const offer = offers?.of(worker);
        const lastResorts = hasLastResorts ? [] : (offers?.lastResorts?.(worker) ?? []);
        const skip = lastResorts.length > 0 ? lastResorts : (offers?.skipped?.(worker) ?? []);
        return {
          worker,
          slots: 1,
          heldModels,
          ...(offer === undefined ? {} : { offer }),
          ...(skip.length === 0 ? {} : { skip }),
        };
      });
  }

  /** Returns how many jobs were taken. */
  async #takeNext(): Promise<number> {
    const taken = await this.#takeFromSources(false);
    const { executors, offers } = this.#options;
    const hasLastResorts = [...executors.keys()].some((worker) => (offers?.lastResorts?.(worker) ?? []).length > 0);
    return taken > 0 || !hasLastResorts ? taken : await this.#takeFromSources(true);
  }

  /** Takes from each source in turn for the slots that are left; the source that goes first changes, so that none starves. */
  async #takeFromSources(hasLastResorts: boolean): Promise<number> {
    const { sources } = this.#options;
    const order = sources.map((_, index) => sources[(index + this.#firstSource) % sources.length]);
    this.#firstSource = (this.#firstSource + 1) % sources.length;
    let requests = this.#idleWorkers(hasLastResorts);
    let taken = 0;
    for (const source of order) {
      if (source === undefined || requests.length === 0) break;
      if (this.#pausedForMs(source) > 0) continue;
      const leases = await this.#take(source, requests);
      for (const { lease, takenAtMs } of leases) this.#start(source, lease, takenAtMs);
      taken += leases.length;
      requests = this.#idleWorkers(hasLastResorts);
    }
    return taken;
  }

  /** Takes ends alone from the sources that may have some; from one that failed, when its pause is over. */
  async #takeEnds(): Promise<void> {
    for (const source of [...this.#endsDue]) {
      if (this.#pausedForMs(source) <= 0) await this.#take(source, []);
    }
  }

  async #take(source: JobSource, requests: readonly TakeRequest[]): Promise<TakenLease[]> {
    if (requests.length > 0) this.firstTakeAtMs ??= Date.now();
    const takenAtMs = performance.now();
    try {
      this.#endsDue.delete(source);
      const { leases, ends } = await source.take(requests);
      if (ends.length > 0) this.#report(source, ends);
      this.#troubles.delete(source);
      if (leases.length > 0) await this.#untilChecked();
      if (this.#state === "running") {
        const held = await this.#stillHeld(source, leases, takenAtMs);
        if (this.#isTaking()) return held;
      }
      // The answer came too late: nobody waits for these jobs here any more.
      await Promise.all(leases.map((lease) => this.#giveBack(source, lease)));
      return [];
    } catch (error) {
      const before = this.#troubles.get(source);
      const errors = (before?.errors ?? 0) + 1;
      const maxMs = Math.min(errorPauseMs.max, errorPauseMs.first * 2 ** Math.min(errors - 1, 10));
      const delayMs = Math.round(maxMs * (0.5 + this.#options.random() / 2));
      this.#endsDue.add(source);
      const trouble = { error: toErrorReport(error), sinceMs: before?.sinceMs ?? Date.now() };
      this.#troubles.set(source, { ...trouble, errors, untilMs: performance.now() + delayMs });
      recordFailure(this.#options.metrics, "source", error);
      this.#options.log.error({ error, source: source.name, next_try_in_ms: delayMs }, "no jobs can be taken");
      return [];
    }
  }

  /** A source that cannot have it back, or whose cancel was requested, has brought it to its end by that. */
  async #giveBack(source: JobSource, lease: Lease): Promise<void> {
    const status = await source.release(lease);
    if (status !== "failed" && status !== "cancelled") return;
    const { jobId, job, run, attempt } = lease;
    const error = status === "failed" ? { error: stoppedError } : {};
    this.#report(source, [{ jobId, job, run, attempt, status, ...error, endedAtMs: Date.now() }]);
  }

  /** Asked anew after each wait. */
  #isTaking(): boolean {
    return this.#state === "running";
  }

  /** What waited for a good part of its lease may have lost it: to run it all the same would give the job two results. */
  async #stillHeld(source: JobSource, leases: readonly Lease[], takenAtMs: number): Promise<TakenLease[]> {
    const renewedAtMs = performance.now();
    if (renewedAtMs - takenAtMs < (source.leaseSeconds * 1000) / 3)
      return leases.map((lease) => ({ lease, takenAtMs }));
    try {
      const outcomes = await source.renew(leases.map((lease) => ({ lease })));
      return leases
        .filter((_, index) => outcomes[index] !== "lost")
        .map((lease) => ({ lease, takenAtMs: renewedAtMs }));
    } catch (error) {
      // Nobody here would run them: left to their leases, they would wait for these, and be charged.
      await Promise.allSettled(leases.map((lease) => this.#giveBack(source, lease)));
      throw error;
    }
  }

  /** Bounded: a disk may be slow, and what loading finds to be broken gives the job back as well. */
  async #untilChecked(): Promise<void> {
    const checked = this.#options.offers?.checked ?? null;
    if (checked !== null) await within(maxCheckMs, checked);
  }

  /** The jobs that were taken do not wait for it. */
  #report(source: JobSource, ends: readonly UnreportedEnd[]): void {
    const report = this.#options.settler.report(source, ends).finally(() => this.#reports.delete(report));
    this.#reports.add(report);
  }

  /** How long a source that failed is left alone; the others go on. */
  #pausedForMs(source: JobSource): number {
    return (this.#troubles.get(source)?.untilMs ?? 0) - performance.now();
  }

  #start(source: JobSource, lease: Lease, takenAtMs: number): void {
    const job = this.#options.runner.run(source, lease, takenAtMs).catch((error: unknown) => {
      // The runner settles everything that it can foresee; what it cannot is charged to the lease, which runs out.
      this.#options.log.error(
        { error, job_id: lease.jobId, attempt: lease.attempt, ...traceFields(lease.job.metadata) },
        "the job could not be settled; its lease will run out",
      );
    });
    this.#jobs.add(job);
    void job.then(() => {
      this.#jobs.delete(job);
      this.#poke();
    });
  }

  /** Until an executor changes its state, a job ends, the dispatcher is paused or resumed, or a source may have an end to report. */
  #waitForExecutor(): Promise<void> {
    return this.#wait(
      this.#options.sources.map((source) => async (signal) => {
        await this.#waitForSource(source, "ends", signal);
        if (!signal.aborted) this.#endsDue.add(source);
      }),
    );
  }

  /** As above, or until a source may have a job. */
  #waitForJobs(): Promise<void> {
    return this.#wait(this.#options.sources.map((source) => (signal) => this.#waitForSource(source, "jobs", signal)));
  }

  /** Also until the source's longest time between two takes, or its pause after an error, is over. */
  async #waitForSource(source: JobSource, what: "jobs" | "ends", signal: AbortSignal): Promise<void> {
    const limitMs = (source.idleTakeSeconds ?? defaultIdleTakeSeconds) * 1000;
    const pausedMs = this.#pausedForMs(source);
    if (pausedMs > 0) await pause(pausedMs, undefined, { signal }).catch(() => undefined);
    else await source.waitForChange(limitMs, signal, what);
  }

  async #wait(events: readonly ((signal: AbortSignal) => Promise<void>)[]): Promise<void> {
    if (!this.#poked && !this.#stopping.signal.aborted) {
      const over = new AbortController();
      const { promise, resolve } = Promise.withResolvers<void>();
      const signal = AbortSignal.any([over.signal, this.#stopping.signal]);
      signal.addEventListener("abort", () => resolve(), { once: true });
      this.#wake = resolve;
      await Promise.race([promise, ...events.map((event) => event(signal))]);
      this.#wake = null;
      over.abort(waitIsOver);
    }
    this.#poked = false;
  }
}
