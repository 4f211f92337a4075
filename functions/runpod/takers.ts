import { setTimeout as pause } from "node:timers/promises";
import { CodedError } from "#contract/errors.ts";
import type { Job } from "#contract/job.ts";
import { isJsonObject } from "#contract/synonyms.ts";
import type { FinalSettlement } from "#runtime/delivery/callbacks/build-callback.ts";
import { emulatedType, requestIdOf, submissionOf } from "#runtime/endpoints/endpoint-job.ts";
import { Announcer } from "#runtime/offers/announcer.ts";
import type { Lease, Offer, UnreportedEnd } from "#runtime/sources/job-source.ts";
import { GivenJobs, type GivenJobsOptions } from "./given-jobs.ts";
import type { Held } from "./held-job.ts";
import type { KeptOutputs } from "./kept-outputs.ts";
import { Outage } from "./outage.ts";
import { keyOf } from "./sightings.ts";

/*
 * RunPod's side towards its containers, in front of any source: whoever calls job-take is given a job, and what it posts of that
 * job counts until the job has ended. What comes later (progress, another end) is answered with 200 and changes nothing.
 */
export interface TakersOptions extends Omit<GivenJobsOptions, "nowMs" | "silentMs"> {
  /** For those that are too large for the queue. */
  readonly outputs: KeptOutputs;
  /** The name of the worker whose queue is this endpoint's. */
  readonly workerOf: (endpoint: string) => string;
  readonly nowMs?: () => number;
  readonly silentMs?: number;
}

interface Poller {
  readonly endpoint: string;
  readonly workerId: string | null;
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

const defaultSilentMs = 60_000;
/** Of a wait for the source, while a container waits for a job and while none does. */
const pollMs = { wanted: 1000, atRest: 2000 };
const failurePauseMs = 1000;
/** What a queue keeps of an output: all of a small one. */
const maxKeptCharacters = 200_000;

export class Takers {
  readonly #options: TakersOptions;
  readonly #given: GivenJobs;
  readonly #outage: Outage;
  readonly #announcer: Announcer;
  readonly #pollers = new Set<Poller>();
  readonly #closing = new AbortController();
  #wake: AbortController = new AbortController();
  #loop: Promise<void> = Promise.resolve();

  constructor(options: TakersOptions) {
    this.#options = options;
    const { nowMs = Date.now, silentMs = defaultSilentMs } = options;
    this.#given = new GivenJobs({ ...options, nowMs, silentMs });
    this.#outage = new Outage(options);
    // Before the first container there is nothing to withdraw.
    this.#announcer = new Announcer([options.source], options.log, new Map());
  }

  /** Resolves when what containers have been given by the process before is known here. */
  async start(): Promise<void> {
    await this.#given.start();
    this.#loop = this.#run();
  }

  /** Answers every container that waits, and gives out no more jobs. */
  endWaits(): void {
    this.#closing.abort();
    for (const poller of this.#pollers) poller.resolve([]);
  }

  async close(): Promise<void> {
    this.endWaits();
    await Promise.all([this.#loop, this.#announcer.stop()]);
    await this.#given.close();
  }

  /** Resolves with at most `count` jobs as soon as there is one, or with none at `holdMs` and when the caller is gone. */
  async take(
    endpoint: string,
    workerId: string | null,
    count: number,
    holdMs: number,
    caller: AbortSignal,
  ): Promise<readonly TakenJob[]> {
    this.#given.sightings.see(endpoint, workerId);
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
  async stopped(
    endpoint: string,
    workerId: string | null,
    holdMs: number,
    caller: AbortSignal,
  ): Promise<readonly string[]> {
    this.#given.sightings.see(endpoint, workerId);
    const signal = AbortSignal.any([caller, this.#closing.signal, AbortSignal.timeout(holdMs)]);
    return this.#given.stops.fetch(keyOf(endpoint, workerId), signal);
  }

  /**
   * @param named the requests whose jobs the container says it has
   * @returns those that it goes on naming although it has them not: if nobody has them either, it is to `stop` them
   */
  ping(endpoint: string, workerId: string | null, isUnhealthy: boolean, named: readonly string[]): readonly string[] {
    Object.assign(this.#given.sightings.see(endpoint, workerId), { isUnhealthy, hasPinged: true });
    return this.#given.named(endpoint, workerId, named);
  }

  /** Has the container stop what is not its own. */
  stop(endpoint: string, workerId: string | null, requestId: string): void {
    this.#given.stops.add(keyOf(endpoint, workerId), requestId);
  }

  /** Whether a container has been given the job by this process. */
  has(jobId: string): boolean {
    return this.#given.get(jobId) !== undefined;
  }

  /** The job of a request that a container has been given by this process. */
  jobOf(requestId: string): Job | undefined {
    return this.#given.jobOf(requestId);
  }

  /** A part of the job's stream; nothing where the container does not have the job. */
  chunk(endpoint: string, workerId: string | null, jobId: string, body: unknown): void {
    const held = this.#given.see(endpoint, workerId, jobId);
    if (held?.settling === null && isJsonObject(body)) this.#options.live.addChunk(jobId, body.output ?? null);
  }

  /** Progress, or the end of a job. False when the container does not have it: it has ended, or others were given it. */
  async done(endpoint: string, workerId: string | null, jobId: string, body: unknown): Promise<boolean> {
    const held = this.#given.see(endpoint, workerId, jobId);
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
    if (given === undefined || given === null) {
      live.setResult(jobId, { output, error: undefined });
      await this.#given.settle(held, this.#completion(held, output ?? null), { output: output ?? null });
      return true;
    }
    const error = typeof given === "string" ? given : JSON.stringify(given);
    live.setResult(jobId, { output, error });
    await this.#given.settle(held, failureOf(error), { output, error });
    return true;
  }

  /**
   * Fails a job whose container has posted something that cannot be taken, as it is too large or no JSON: what it posts next would
   * be no better, and most containers post nothing. Nothing happens where the container does not have the job.
   */
  async refuse(endpoint: string, workerId: string | null, jobId: string, reason: string): Promise<void> {
    const held = this.#given.see(endpoint, workerId, jobId);
    if (held === undefined || held.settling !== null) return;
    const { live, log } = this.#options;
    const error = `The result was not taken. ${reason}`;
    log.warn({ job_id: jobId, endpoint, worker_id: workerId, reason }, "a result cannot be taken: its job has failed");
    live.setResult(jobId, { output: undefined, error });
    await this.#given.settle(held, { kind: "fail", error: { code: "RESULT_TOO_LARGE", message: error } }, { error });
  }

  /** Ends a running job whose cancel was requested, and notifies its container. */
  cancelled(jobId: string): Promise<void> {
    return this.#given.cancelled(jobId);
  }

  /** Containers that are known, and those of them that have something to stop. */
  get known() {
    return { containers: this.#given.sightings.size, stopping: this.#given.stops.size };
  }

  /** How many jobs of the endpoint went back to the queue because their containers were gone. */
  retried(endpoint: string): number {
    return this.#given.retried(endpoint);
  }

  counts(endpoint: string) {
    const busy = new Set(this.#given.of(endpoint).map(({ workerId }) => keyOf(endpoint, workerId)));
    return this.#given.sightings.counts(endpoint, busy);
  }

  async #run(): Promise<void> {
    const { source } = this.#options;
    while (!this.#closing.signal.aborted) {
      this.#announcer.offer(this.#offers());
      this.#wake = new AbortController();
      const signal = AbortSignal.any([this.#wake.signal, this.#closing.signal]);
      try {
        const wanted = Map.groupBy(this.#pollers, ({ endpoint }) => endpoint);
        const requests = [...wanted].map(([endpoint, pollers]) => ({
          worker: this.#options.workerOf(endpoint),
          slots: pollers.reduce((sum, { count }) => sum + count, 0),
        }));
        await this.#given.renewStale();
        const { leases, ends } = await source.take(requests);
        await this.#reportEnds(ends);
        await this.#handOut(leases);
        this.#outage.isOver();
        if (leases.length > 0 || ends.length > 0) continue;
        const limitMs = requests.length > 0 ? pollMs.wanted : pollMs.atRest;
        await source.waitForChange(limitMs, signal, requests.length > 0 ? "jobs" : "ends");
      } catch (error) {
        this.#outage.seen(error);
        // Not the source's own wait, which is none where that is closed.
        await pause(failurePauseMs, undefined, { signal: this.#closing.signal }).catch(() => undefined);
      }
    }
  }

  /** What containers ask for can be run: whoever looks at the queues is to see that. */
  #offers(): ReadonlyMap<string, Offer> {
    const endpoints = [...this.#given.sightings.endpoints()];
    return new Map(endpoints.map((endpoint) => [this.#options.workerOf(endpoint), offer]));
  }

  async #reportEnds(ends: readonly UnreportedEnd[]): Promise<void> {
    if (ends.length === 0) return;
    await this.#options.ends.settler.report(this.#options.source, ends);
    for (const { jobId } of ends) this.#options.live.changed(jobId);
  }

  async #handOut(given: readonly Lease[]): Promise<void> {
    for (const [endpoint, own] of Map.groupBy(given, ({ job }) => submissionOf(job.metadata)?.endpoint)) {
      if (endpoint === undefined) {
        for (const lease of own) await this.#given.refuse(lease);
        continue;
      }
      const left = [...own];
      for (const poller of this.#pollers) {
        if (poller.endpoint !== endpoint || poller.signal.aborted || left.length === 0) continue;
        this.#pollers.delete(poller);
        const leases = left.splice(0, poller.count);
        const jobs = await Promise.all(leases.map((lease) => this.#give(lease, poller)));
        // Who went away meanwhile has none of them.
        if (poller.signal.aborted) await Promise.all(leases.map((lease) => this.#given.takeBack(lease)));
        else poller.resolve(jobs);
      }
      // Who had waited for them is gone.
      await Promise.all(left.map((lease) => this.#given.takeBack(lease)));
    }
  }

  /** With the output in the job's record, or the name of its file there. */
  async #completion({ workerId }: Held, output: unknown): Promise<FinalSettlement> {
    const json = JSON.stringify(output);
    const file = json.length > maxKeptCharacters ? await this.#options.outputs.keep(json) : null;
    const kept = json.length <= maxKeptCharacters ? { output } : file === null ? {} : { output_file: file };
    return {
      kind: "complete",
      assets: [],
      metadata: { ...kept, ...(workerId === null ? {} : { container: workerId }) },
    };
  }

  async #give(lease: Lease, { endpoint, workerId }: Poller): Promise<TakenJob> {
    await this.#given.give(lease, endpoint, workerId);
    const submission = submissionOf(lease.job.metadata);
    return { id: requestIdOf(lease.job), input: submission?.input ?? {}, ...submission?.rest };
  }
}

/** Of every endpoint: what a job is about is in its input. */
const offer: Offer = { types: [emulatedType], defaultModelTypes: [emulatedType], models: [] };

/** What a queue keeps of an error's text. */
const maxErrorCharacters = 20_000;

function failureOf(error: string): FinalSettlement {
  const message = error.length > maxErrorCharacters ? `${error.slice(0, maxErrorCharacters)}…` : error;
  return { kind: "fail", error: { code: "HANDLER_FAILED", message: message.toWellFormed() } };
}

/** The number of one that says how far it is, as ours do. */
function progressOf(output: unknown): number | undefined {
  const value = isJsonObject(output) ? output.progress : output;
  return typeof value === "number" && value >= 0 && value <= 1 ? value : undefined;
}
