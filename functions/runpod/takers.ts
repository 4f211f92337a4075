import { CodedError, type ErrorReport } from "#contract/errors.ts";
import { isJsonObject } from "#contract/synonyms.ts";
import type { FinalSettlement } from "#runtime/delivery/callbacks/build-callback.ts";
import type { FinishFacts } from "#runtime/delivery/new-entries.ts";
import { isEnd } from "#runtime/dispatch/job-events.ts";
import { jobIdOf, requestIdOf, submissionOf } from "#runtime/endpoints/endpoint-job.ts";
import { within } from "#runtime/lib/within.ts";
import type { Logger } from "#runtime/observe/log.ts";
import type { JobSource, Lease, UnreportedEnd } from "#runtime/sources/job-source.ts";
import type { EmulatorDelivery } from "./emulator-delivery.ts";
import type { LiveJobs } from "./live-jobs.ts";
import { keyOf, Sightings } from "./sightings.ts";
import { Stops } from "./stops.ts";

/*
 * RunPod's side towards its containers, in front of any source: whoever calls job-take is given a lease that is kept here, and
 * renewed as long as its container names it in its pings. States of a job that was given to a container:
 *
 *   held ──job-done──► settling, on disk ──► settled
 *     │ ├── cancelled, its time is over: settled here, and its container is notified by job-stop
 *     │ └── its container is silent: back to the queue, or failed when that has happened before
 *
 * The first end counts. What comes later (progress, another end) is answered with 200 and changes nothing. An end is in the
 * outbox before it is answered: no crash and no outage of the queue takes it.
 */
export interface TakersOptions {
  readonly source: JobSource;
  readonly ends: EmulatorDelivery;
  readonly live: LiveJobs;
  /** The name of the worker whose queue is this endpoint's. */
  readonly workerOf: (endpoint: string) => string;
  readonly log: Logger;
  readonly nowMs?: () => number;
  /** Silence after which a container is taken for gone. */
  readonly silentMs?: number;
}

interface Held {
  readonly lease: Lease;
  /** By a clock that nobody sets. */
  readonly takenAtMs: number;
  readonly endpoint: string;
  readonly workerId: string;
  /** When its container has named it last: by its take, a ping, or something of it that was posted. */
  namedAtMs: number;
  /** Until its time is over, or the next try to settle it. */
  timer: NodeJS.Timeout;
  progress: number | undefined;
  /** Until its end is written down, and settled or given a limited time for that; null while it has none. */
  settling: Promise<void> | null;
  /** No longer held. */
  readonly gone: PromiseWithResolvers<void>;
}

interface Poller {
  readonly endpoint: string;
  readonly workerId: string;
  readonly count: number;
  readonly signal: AbortSignal;
  resolve(jobs: readonly TakenJob[]): void;
}

/** As it is handed out. */
export interface TakenJob {
  readonly id: string;
  readonly input: unknown;
  readonly [field: string]: unknown;
}

const maxTries = 3;
const defaultSilentMs = 60_000;
/** Of a wait for the source, while a container waits for a job and while none does. */
const pollMs = { wanted: 1000, atRest: 2000 };
const failurePauseMs = 1000;
/** Whoever posts an end and looks then is to find it, unless the queue is away. */
const settleLimitMs = 5000;

export class Takers {
  readonly #options: TakersOptions;
  readonly #nowMs: () => number;
  readonly #held = new Map<string, Held>();
  readonly #pollers = new Set<Poller>();
  readonly #sightings: Sightings;
  readonly #stops = new Stops();
  readonly #retried = new Map<string, number>();
  readonly #closing = new AbortController();
  #wake: AbortController = new AbortController();
  #loop: Promise<void> = Promise.resolve();
  #renewing: NodeJS.Timeout | null = null;

  constructor(options: TakersOptions) {
    this.#options = options;
    this.#nowMs = options.nowMs ?? Date.now;
    this.#sightings = new Sightings({ nowMs: this.#nowMs, silentMs: options.silentMs ?? defaultSilentMs });
  }

  start(): void {
    const { source, silentMs = defaultSilentMs } = this.#options;
    this.#loop = this.#run();
    const everyMs = Math.min((source.leaseSeconds * 1000) / 3, silentMs / 2);
    this.#renewing = setInterval(() => void this.#renew(), everyMs);
  }

  /** Gives every job back to its queue. */
  async close(): Promise<void> {
    this.#closing.abort();
    if (this.#renewing) clearInterval(this.#renewing);
    for (const poller of this.#pollers) poller.resolve([]);
    await this.#loop;
    for (const held of [...this.#held.values()]) {
      this.#forget(held);
      // What is settled already is in the outbox.
      if (held.settling === null) await this.#options.source.release(held.lease).catch(() => undefined);
    }
  }

  /** Resolves with at most `count` jobs as soon as there is one, or with none at `holdMs` and when the caller is gone. */
  async take(
    endpoint: string,
    workerId: string,
    count: number,
    holdMs: number,
    caller: AbortSignal,
  ): Promise<readonly TakenJob[]> {
    this.#sightings.see(endpoint, workerId);
    const { promise, resolve } = Promise.withResolvers<readonly TakenJob[]>();
    const signal = AbortSignal.any([caller, this.#closing.signal, AbortSignal.timeout(holdMs)]);
    const poller: Poller = { endpoint, workerId, count, signal, resolve };
    signal.addEventListener("abort", () => resolve([]), { once: true });
    if (signal.aborted) return [];
    this.#pollers.add(poller);
    this.#wake.abort();
    try {
      return await promise;
    } finally {
      this.#pollers.delete(poller);
    }
  }

  /** Ids of jobs that this container is to stop, as soon as there are some; none at `holdMs`. */
  async stopped(endpoint: string, workerId: string, holdMs: number, caller: AbortSignal): Promise<readonly string[]> {
    this.#sightings.see(endpoint, workerId);
    const signal = AbortSignal.any([caller, this.#closing.signal, AbortSignal.timeout(holdMs)]);
    return this.#stops.fetch(keyOf(endpoint, workerId), signal);
  }

  /** @param named the requests whose jobs the container says it has */
  ping(endpoint: string, workerId: string, isUnhealthy: boolean, named: readonly string[]): void {
    Object.assign(this.#sightings.see(endpoint, workerId), { isUnhealthy, hasPinged: true });
    for (const id of named) this.#see(endpoint, workerId, this.#held.has(id) ? id : jobIdOf(id));
  }

  #see(endpoint: string, workerId: string, jobId: string): void {
    this.#sightings.see(endpoint, workerId);
    const held = this.#held.get(jobId);
    if (held?.workerId === workerId && held.endpoint === endpoint) held.namedAtMs = this.#nowMs();
  }

  chunk(endpoint: string, workerId: string, jobId: string, body: unknown): void {
    this.#see(endpoint, workerId, jobId);
    if (this.#held.has(jobId) && isJsonObject(body)) this.#options.live.addChunk(jobId, body.output ?? null);
  }

  /** Progress, or the end of a job. False when the job is not held here: it has ended, or another process has handed it out. */
  async done(endpoint: string, workerId: string, jobId: string, body: unknown): Promise<boolean> {
    this.#see(endpoint, workerId, jobId);
    const held = this.#held.get(jobId);
    if (held === undefined) return false;
    if (!isJsonObject(body)) throw new CodedError("INVALID_REQUEST", "The body must be a JSON object.");
    const { live } = this.#options;
    if (held.settling !== null) {
      // Sent again, since its answer was lost: an answer now is no earlier than that one would have been.
      if (body.status !== "IN_PROGRESS") await held.settling;
      return true;
    }
    if (body.status === "IN_PROGRESS") {
      live.setProgress(jobId, body.output);
      held.progress = progressOf(body.output) ?? held.progress;
      live.changed(jobId);
      return true;
    }
    const { output, error: given } = body;
    const hasError = given !== undefined && given !== null;
    const message = typeof given === "string" ? given : JSON.stringify(given);
    live.setResult(jobId, { output, error: hasError ? message : undefined });
    if (hasError) {
      const settlement: FinalSettlement = { kind: "fail", error: { code: "HANDLER_FAILED", message } };
      await this.#settle(held, settlement, { output, error: message });
    } else await this.#settle(held, resultOf(output), { output: output ?? null });
    return true;
  }

  /** @throws what kept the end from being written down: the job runs on, and the next end counts */
  async #settle(held: Held, settlement: FinalSettlement, posted?: FinishFacts["posted"]): Promise<void> {
    held.settling = this.#finish(held, settlement, posted);
    try {
      await held.settling;
    } catch (error) {
      held.settling = null;
      throw error;
    }
  }

  /** On disk when the promise resolves, and settled, unless the queue is away. */
  async #finish(held: Held, settlement: FinalSettlement, posted?: FinishFacts["posted"]): Promise<void> {
    const { source, ends } = this.#options;
    const { lease, takenAtMs, gone } = held;
    // An event after the end of an earlier run would be dropped, this run's end too.
    ends.events.emit(lease.jobId, { kind: "state", status: "running", attempt: lease.attempt });
    const stop = ends.events.subscribe(lease.jobId, ({ event }) => {
      if (event.kind === "state" && isEnd(event)) this.#end(held);
    });
    void gone.promise.then(stop);
    try {
      const ranMs = performance.now() - takenAtMs;
      await ends.delivery.finish(source, lease, settlement, { ranMs, workFolder: "", ...(posted ? { posted } : {}) });
    } catch (error) {
      stop();
      throw error;
    }
    await within(settleLimitMs, gone.promise);
  }

  /** Ends a running job whose cancel was requested, and notifies its container. */
  async cancelled(jobId: string): Promise<void> {
    const held = this.#held.get(jobId);
    if (held !== undefined) await this.#stop(held, { kind: "cancelled" });
  }

  /** Containers that are known, and those of them that have something to stop. */
  get known() {
    return { containers: this.#sightings.size, stopping: this.#stops.size };
  }

  /** How many jobs of the endpoint went back to the queue because their containers were gone. */
  retried(endpoint: string): number {
    return this.#retried.get(endpoint) ?? 0;
  }

  counts(endpoint: string) {
    const own = [...this.#held.values()].filter((held) => held.endpoint === endpoint);
    return this.#sightings.counts(endpoint, new Set(own.map(({ workerId }) => keyOf(endpoint, workerId))));
  }

  async #run(): Promise<void> {
    const { source, log } = this.#options;
    while (!this.#closing.signal.aborted) {
      this.#wake = new AbortController();
      const signal = AbortSignal.any([this.#wake.signal, this.#closing.signal]);
      try {
        const wanted = Map.groupBy(this.#pollers, ({ endpoint }) => endpoint);
        const requests = [...wanted].map(([endpoint, pollers]) => ({
          worker: this.#options.workerOf(endpoint),
          slots: pollers.reduce((sum, { count }) => sum + count, 0),
        }));
        const { leases, ends } = await source.take(requests);
        await this.#reportEnds(ends);
        await this.#handOut(leases);
        if (leases.length > 0 || ends.length > 0) continue;
        const limitMs = requests.length > 0 ? pollMs.wanted : pollMs.atRest;
        await source.waitForChange(limitMs, signal, requests.length > 0 ? "jobs" : "ends");
      } catch (error) {
        log.error({ error }, "no jobs can be taken");
        await source.waitForChange(failurePauseMs, signal);
      }
    }
  }

  async #reportEnds(ends: readonly UnreportedEnd[]): Promise<void> {
    if (ends.length === 0) return;
    await this.#options.ends.settler.report(this.#options.source, ends);
    for (const { jobId } of ends) this.#options.live.changed(jobId);
  }

  async #handOut(leases: readonly Lease[]): Promise<void> {
    for (const [endpoint, own] of Map.groupBy(leases, ({ job }) => submissionOf(job.metadata)?.endpoint ?? "")) {
      const left = [...own];
      for (const poller of this.#pollers) {
        if (poller.endpoint !== endpoint || poller.signal.aborted || left.length === 0) continue;
        this.#pollers.delete(poller);
        poller.resolve(left.splice(0, poller.count).map((lease) => this.#hold(lease, poller)));
      }
      // Who had waited for them is gone.
      for (const lease of left) await this.#options.source.release(lease);
    }
  }

  #hold(lease: Lease, { endpoint, workerId }: Poller): TakenJob {
    const { jobId, job } = lease;
    const submission = submissionOf(job.metadata);
    const limitMs = submission?.executionTimeoutMs ?? 0;
    const ttlLeftMs = (submission?.ttlMs ?? 0) - (this.#nowMs() - lease.queuedAtMs);
    const timer = setTimeout(() => void this.#timeOut(jobId), Math.min(limitMs, Math.max(0, ttlLeftMs)));
    const takenAtMs = performance.now();
    const gone = Promise.withResolvers<void>();
    const place = { lease, takenAtMs, endpoint, workerId, timer, namedAtMs: this.#nowMs() };
    this.#held.set(jobId, { ...place, progress: undefined, settling: null, gone });
    this.#stops.withdraw(keyOf(endpoint, workerId), requestIdOf(job));
    this.#options.live.of(jobId).workerId = workerId;
    this.#options.live.changed(jobId);
    return { id: requestIdOf(job), input: submission?.input ?? {}, ...submission?.rest };
  }

  async #timeOut(jobId: string): Promise<void> {
    const held = this.#held.get(jobId);
    if (held === undefined) return;
    const message = "The job took longer than its policy allows (executionTimeout, ttl).";
    await this.#stop(held, { kind: "fail", error: { code: "TIMED_OUT", message } });
  }

  async #stop(held: Held, settlement: FinalSettlement): Promise<void> {
    if (held.settling !== null || this.#held.get(held.lease.jobId) !== held) return;
    this.#stops.add(keyOf(held.endpoint, held.workerId), requestIdOf(held.lease.job));
    try {
      await this.#settle(held, settlement);
    } catch (error) {
      this.#options.log.error({ error, job_id: held.lease.jobId }, "a job cannot be settled; trying again");
      clearTimeout(held.timer);
      held.timer = setTimeout(() => void this.#stop(held, settlement), failurePauseMs);
    }
  }

  #end(held: Held): void {
    this.#forget(held);
    this.#options.live.changed(held.lease.jobId);
  }

  #forget(held: Held): void {
    clearTimeout(held.timer);
    held.gone.resolve();
    const { jobId } = held.lease;
    if (this.#held.get(jobId) === held) this.#held.delete(jobId);
  }

  /** Renews every lease, then deals with jobs that are to end: no lease waits for another job's settling. */
  async #renew(): Promise<void> {
    const { source, log } = this.#options;
    try {
      const all = [...this.#held.values()];
      const outcomes = await source.renew(
        all.map(({ lease, progress }) => (progress === undefined ? { lease } : { lease, progress })),
      );
      for (const [index, held] of all.entries()) {
        if (outcomes[index] === "cancelled") void this.#stop(held, { kind: "cancelled" });
        if (outcomes[index] === "lost") this.#end(held);
      }
      for (const held of this.#held.values()) {
        if (held.settling === null && this.#sightings.isSilent(held)) void this.#lose(held);
      }
      this.#forgetSilent();
    } catch (error) {
      log.warn({ error }, "leases could not be renewed; trying again");
    }
  }

  /** Containers that are gone, with what they were to stop. */
  #forgetSilent(): void {
    this.#sightings.forgetSilent(
      new Set([...this.#held.values()].map(({ endpoint, workerId }) => keyOf(endpoint, workerId))),
    );
    this.#stops.keepOnly((key) => this.#sightings.has(key));
  }

  /** Gives the job of a silent container back to its queue, or ends it. */
  async #lose(held: Held): Promise<void> {
    const { source, live, log } = this.#options;
    const { lease, workerId } = held;
    const error: ErrorReport = {
      code: "EXECUTOR_CRASHED",
      message: `Nothing was heard of the container ${workerId} that ran the job.`,
    };
    if (lease.attempt >= maxTries) return this.#stop(held, { kind: "fail", error });
    this.#forget(held);
    live.of(lease.jobId).retries++;
    this.#retried.set(held.endpoint, this.retried(held.endpoint) + 1);
    try {
      await source.retry(lease, { error, delaySeconds: 0 });
    } catch (cause) {
      log.warn({ error: cause, job_id: lease.jobId }, "a job cannot be given back; its lease will run out");
    }
    live.changed(lease.jobId);
  }
}

/** What a queue keeps of an output: all of a small one. */
const maxKeptCharacters = 200_000;

function resultOf(output: unknown): FinalSettlement {
  const text = JSON.stringify(output ?? null);
  return { kind: "complete", assets: [], metadata: text.length > maxKeptCharacters ? {} : { output: output ?? null } };
}

/** The number of one that says how far it is, as ours do. */
function progressOf(output: unknown): number | undefined {
  const value = isJsonObject(output) ? output.progress : output;
  return typeof value === "number" && value >= 0 && value <= 1 ? value : undefined;
}
