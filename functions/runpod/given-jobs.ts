import type { ErrorReport } from "#contract/errors.ts";
import type { Job } from "#contract/job.ts";
import type { FinalSettlement } from "#runtime/delivery/callbacks/build-callback.ts";
import type { FinishFacts } from "#runtime/delivery/new-entries.ts";
import { isEnd } from "#runtime/dispatch/job-events.ts";
import { jobIdOf, requestIdOf } from "#runtime/endpoints/endpoint-job.ts";
import { within } from "#runtime/lib/within.ts";
import type { Logger } from "#runtime/observe/log.ts";
import type { JobSource, Lease } from "#runtime/sources/job-source.ts";
import type { EmulatorDelivery } from "./emulator-delivery.ts";
import { ForeignJobs } from "./foreign-jobs.ts";
import type { Held } from "./held-job.ts";
import type { KeptJob, KeptJobs } from "./kept-jobs.ts";
import { LeaseRenewal } from "./lease-renewal.ts";
import type { LiveJobs } from "./live-jobs.ts";
import { leftMs, overdueText, ranMs } from "./overdue.ts";
import { keyOf, Sightings } from "./sightings.ts";
import { Stops } from "./stops.ts";

/*
 * The jobs that containers have been given, each under a lease that is renewed as long as its container names it in its pings:
 *
 *   held ──job-done──► settling, on disk ──► settled
 *     │ ├── cancelled, its time is over: settled here, and its container is notified by job-stop
 *     │ ├── its container is silent: back to the queue, or failed when that has happened before
 *     │ └── this process ends: held again by the one that is started after it
 *
 * The first end counts, and is in the outbox before it is answered: no crash and no outage of the queue takes it.
 */
export interface GivenJobsOptions {
  readonly source: JobSource;
  readonly ends: EmulatorDelivery;
  readonly live: LiveJobs;
  /** Where they are written down; null where they cannot be: then they go back to their queue when this process stops. */
  readonly kept: KeptJobs | null;
  readonly log: Logger;
  readonly nowMs: () => number;
  /** A clock that is never set, and stands still while the machine sleeps. */
  readonly steadyMs: () => number;
  /** Silence after which a container is taken for gone. */
  readonly silentMs: number;
}

const maxTries = 3;
/** Of the jobs that a ping names. */
const maxNamed = 200;
const failurePauseMs = 1000;
/** Whoever posts an end and looks then is to find it, unless the queue is away. */
const settleLimitMs = 5000;
/** Whose leases are not given back by then, those run out. */
const releaseLimitMs = 5000;

export class GivenJobs {
  readonly sightings: Sightings;
  readonly stops = new Stops();
  readonly #leases: LeaseRenewal;
  readonly #options: GivenJobsOptions;
  readonly #held = new Map<string, Held>();
  readonly #retried = new Map<string, number>();
  readonly #foreign = new ForeignJobs();
  #renewing: NodeJS.Timeout | null = null;

  constructor(options: GivenJobsOptions) {
    this.#options = options;
    this.sightings = new Sightings(options);
    this.#leases = new LeaseRenewal(options);
  }

  /** Goes on with the jobs that the process before had given to containers. */
  async start(): Promise<void> {
    const { kept, source, silentMs, log } = this.#options;
    try {
      for (const job of (await kept?.all()) ?? []) this.#hold(job);
    } catch (error) {
      log.warn({ error }, "it cannot be read what containers have been given before: those jobs are run anew");
    }
    const everyMs = Math.min((source.leaseSeconds * 1000) / 3, silentMs / 2);
    this.#renewing = setInterval(() => void this.renew(), everyMs);
  }

  /** What is written down waits for the next process; anything else goes back to its queue. */
  async close(): Promise<void> {
    const { kept, source } = this.#options;
    if (this.#renewing) clearInterval(this.#renewing);
    const all = [...this.#held.values()];
    for (const held of all) this.#letGo(held);
    // What is settled already is in the outbox.
    const left = kept === null ? all.filter(({ settling }) => settling === null) : [];
    await within(releaseLimitMs, Promise.allSettled(left.map(({ lease }) => source.release(lease))));
    kept?.close();
  }

  get(jobId: string): Held | undefined {
    return this.#held.get(jobId);
  }

  /** The job of a request that a container has been given. */
  jobOf(requestId: string): Job | undefined {
    const jobs = [requestId, jobIdOf(requestId)].map((id) => this.#held.get(id)?.lease.job);
    return jobs.find((job) => job !== undefined && requestIdOf(job) === requestId);
  }

  of(endpoint: string): readonly Held[] {
    return [...this.#held.values()].filter((held) => held.endpoint === endpoint);
  }

  /** How many jobs of the endpoint went back to the queue because their containers were gone. */
  retried(endpoint: string): number {
    return this.#retried.get(endpoint) ?? 0;
  }

  /** Written down when it resolves, so that it can be handed out. */
  async give(lease: Lease, endpoint: string, workerId: string | null): Promise<void> {
    const { kept, live, log, nowMs } = this.#options;
    const job: KeptJob = { lease, endpoint, workerId, takenAtMs: nowMs() };
    // What an earlier attempt, or an earlier run, has said and streamed is not this one's.
    live.restart(lease.jobId);
    if (this.#held.size === 0) this.#leases.begin();
    this.#hold(job);
    this.stops.withdraw(keyOf(endpoint, workerId), requestIdOf(lease.job));
    live.changed(lease.jobId);
    try {
      await kept?.add(job);
    } catch (error) {
      log.warn({ error, job_id: lease.jobId }, "a job that is given to a container cannot be written down");
    }
  }

  /** Who was to be given it is gone: the attempt is not charged. */
  async takeBack(lease: Lease): Promise<void> {
    const held = this.#held.get(lease.jobId);
    if (held?.lease.token === lease.token && held.settling === null) this.#forget(held);
    try {
      await this.#options.source.release(lease);
    } catch (error) {
      this.#options.log.warn({ error, job_id: lease.jobId }, "a job cannot be given back; its lease will run out");
    }
  }

  /** Fails a job that others have put on the queue of an endpoint, and of which no container could be told anything. */
  async refuse(lease: Lease): Promise<void> {
    const { source, ends, log } = this.#options;
    const message = "The job is no request of an endpoint, and on the queue of one: submit it at /v2/<endpoint>/run.";
    const error = lease.rejection ?? { code: "INVALID_JOB", message };
    try {
      await ends.delivery.finish(source, lease, { kind: "fail", error }, { ranMs: null, workFolder: "" });
    } catch (cause) {
      log.warn({ error: cause, job_id: lease.jobId }, "a job cannot be refused; its lease will run out");
    }
  }

  /** The job, if it is this container's, which has named it now. What others say of it, who had it before, counts for nothing. */
  see(endpoint: string, workerId: string | null, jobId: string): Held | undefined {
    this.sightings.see(endpoint, workerId);
    const held = this.#held.get(jobId);
    if (held === undefined || held.endpoint !== endpoint) return undefined;
    if (held.workerId === null && workerId !== null) {
      held.workerId = workerId;
      this.#options.live.of(jobId).workerId = workerId;
    }
    if (workerId !== null && held.workerId !== workerId) return undefined;
    held.namedAtMs = this.#options.steadyMs();
    return held;
  }

  /**
   * What a container says it has.
   * @param named ids of requests
   * @returns those that it has named before too although they are not its own: it should not work on them
   */
  named(endpoint: string, workerId: string | null, named: readonly string[]): readonly string[] {
    const isOwn = (id: string) => this.see(endpoint, workerId, this.#held.has(id) ? id : jobIdOf(id)) !== undefined;
    const foreign = named.slice(0, maxNamed).filter((id) => id !== "" && !isOwn(id));
    return workerId === null ? [] : this.#foreign.named(keyOf(endpoint, workerId), foreign);
  }

  /** @throws what kept the end from being written down: the job runs on, and the next end counts */
  async settle(
    held: Held,
    settlement: FinalSettlement | Promise<FinalSettlement>,
    posted?: FinishFacts["posted"],
  ): Promise<void> {
    held.settling = this.#finish(held, settlement, posted);
    try {
      await held.settling;
    } catch (error) {
      held.settling = null;
      throw error;
    }
  }

  /** Ends a running job whose cancel was requested, and notifies its container. */
  async cancelled(jobId: string): Promise<void> {
    const held = this.#held.get(jobId);
    if (held !== undefined) await this.#stop(held, { kind: "cancelled" });
  }

  #hold(kept: KeptJob): void {
    const { lease, endpoint, workerId } = kept;
    const { live, nowMs, steadyMs } = this.#options;
    const { jobId } = lease;
    const before = this.#held.get(jobId);
    if (before !== undefined) this.#forget(before);
    const timer = setTimeout(() => void this.#timeOut(held), leftMs(kept, nowMs()));
    const held: Held = {
      ...{ lease, endpoint, workerId, timer },
      taker: workerId,
      takenAtMs: performance.now() - ranMs(kept, nowMs()),
      namedAtMs: steadyMs(),
      progress: undefined,
      settling: null,
      gone: Promise.withResolvers<void>(),
    };
    this.#held.set(jobId, held);
    this.sightings.see(endpoint, workerId);
    live.of(jobId).workerId = workerId;
  }

  /** On disk when the promise resolves, and settled, unless the queue is away. */
  async #finish(
    held: Held,
    settled: FinalSettlement | Promise<FinalSettlement>,
    posted?: FinishFacts["posted"],
  ): Promise<void> {
    const { source, ends } = this.#options;
    const { lease, takenAtMs, gone } = held;
    const settlement = await settled;
    // An event after the end of an earlier run would be dropped, this run's end too.
    ends.events.emit(lease.jobId, { kind: "state", status: "running", attempt: lease.attempt });
    const stop = ends.events.subscribe(lease.jobId, ({ event }) => {
      if (event.kind === "state" && isEnd(event)) this.#end(held);
    });
    void gone.promise.then(stop);
    try {
      const ranMs = performance.now() - takenAtMs;
      await ends.delivery.finish(source, lease, settlement, {
        ...{ ranMs, workFolder: "", takenBy: held.workerId },
        ...(posted ? { posted } : {}),
      });
    } catch (error) {
      stop();
      throw error;
    }
    this.#forgetKept(held);
    await within(settleLimitMs, gone.promise);
  }

  async #timeOut(held: Held): Promise<void> {
    const ranMs = performance.now() - held.takenAtMs;
    const message = overdueText(held.lease, { ranMs, nowMs: this.#options.nowMs() });
    await this.#stop(held, { kind: "fail", error: { code: "TIMED_OUT", message } });
  }

  async #stop(held: Held, settlement: FinalSettlement): Promise<void> {
    if (held.settling !== null || this.#held.get(held.lease.jobId) !== held) return;
    this.stops.add(keyOf(held.endpoint, held.taker), requestIdOf(held.lease.job));
    try {
      await this.settle(held, settlement);
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
    this.#letGo(held);
    this.#forgetKept(held);
  }

  #letGo(held: Held): void {
    clearTimeout(held.timer);
    held.gone.resolve();
    const { jobId } = held.lease;
    if (this.#held.get(jobId) === held) this.#held.delete(jobId);
  }

  #forgetKept({ lease }: Held): void {
    const { kept, log } = this.#options;
    kept?.remove(lease).catch((error) => {
      log.warn({ error, job_id: lease.jobId }, "a job that is done is still written down as given to a container");
    });
  }

  /** Before anything is taken. @throws what kept the leases from being renewed */
  async renewStale(): Promise<void> {
    if (this.#held.size > 0 && this.#leases.isStale) await this.#renewAll();
  }

  /** Renews every lease, then deals with jobs that are to end: no lease waits for another job's settling. */
  async renew(): Promise<void> {
    try {
      await this.#renewAll();
      for (const held of this.#held.values()) {
        if (held.settling === null && this.sightings.isSilent(held)) void this.#lose(held);
      }
      this.#forgetSilent();
    } catch (error) {
      this.#options.log.warn({ error }, "leases could not be renewed; trying again");
    }
  }

  async #renewAll(): Promise<void> {
    const all = [...this.#held.values()];
    if (all.length === 0) return;
    const outcomes = await this.#leases.renew(
      all.map(({ lease, progress }) => (progress === undefined ? { lease } : { lease, progress })),
    );
    for (const [index, held] of all.entries()) {
      if (outcomes[index] === "cancelled") void this.#stop(held, { kind: "cancelled" });
      // Of one that is being settled its end is what tells that it is held no more.
      if (outcomes[index] === "lost")
        void (held.settling ?? Promise.resolve()).finally(() => this.#end(held)).catch(() => undefined);
    }
  }

  /** Containers that are gone, with what they were to stop. */
  #forgetSilent(): void {
    this.sightings.forgetSilent(
      new Set([...this.#held.values()].map(({ endpoint, workerId }) => keyOf(endpoint, workerId))),
    );
    for (const each of [this.stops, this.#foreign]) each.keepOnly((key) => this.sightings.has(key));
  }

  /** Gives the job of a silent container back to its queue, or ends it. */
  async #lose(held: Held): Promise<void> {
    const { source, live, log } = this.#options;
    const { lease, workerId } = held;
    const error: ErrorReport = {
      code: "EXECUTOR_CRASHED",
      message: `Nothing was heard of the container ${workerId ?? "without a name"} that ran the job.`,
    };
    if (lease.attempt >= maxTries) return this.#stop(held, { kind: "fail", error });
    this.#forget(held);
    // What the next attempt streams is not to stand behind a part of this one's.
    live.restart(lease.jobId);
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
