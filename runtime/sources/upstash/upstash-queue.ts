import { randomUUID } from "node:crypto";
import type { AttemptLog } from "#contract/attempt-log.ts";
import { CodedError } from "#contract/errors.ts";
import type { Job } from "#contract/job.ts";
import { jobTypes } from "#contract/job-types.ts";
import { createKeys, type Keys } from "#contract/queue-keys.ts";
import { readOffers } from "#contract/queue-offers.ts";
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
  type QueueStats,
  refuseDependencies,
} from "../job-source.ts";
import { notQueued } from "../not-queued.ts";
import { nothingToCancel } from "../nothing-to-cancel.ts";
import type { SourceTrouble, SourceUsage } from "../source-definition.ts";
import { readLog } from "./attempt-logs.ts";
import { discardDeadLetters, readDeadLetters } from "./dead-letters.ts";
import { enqueueJob } from "./enqueueing.ts";
import { listJobs, waitingJobs } from "./job-pages.ts";
import { discardJobs, matchJobs, readFailureGroups } from "./many-jobs.ts";
import type { ResolvedOptions } from "./options.ts";
import { readStats } from "./queue-stats.ts";
import { endOrDelivery, toJobRecord } from "./records.ts";
import type { DeadLetter } from "./replies.ts";
import * as replies from "./replies.ts";
import { RestClient } from "./rest-client.ts";
import { type TakeSettings, takeCall } from "./take-call.ts";
import { pruneIndexes, repairQueues } from "./upkeep.ts";
import { UsageCounter } from "./usage.ts";

const noTickets = { ticket: "none", unanswered: [], known: [] };
/** Calls that are under way at the same time: enough to hide a network's delay. */
const cancelledAtOnce = 10;
const knownWorkers: readonly string[] = [...new Set(Object.values(jobTypes).map(({ worker }) => worker))];

/** The producer's and operator's side; `UpstashSource` adds the side that runs jobs. */
export class UpstashQueue implements JobQueue {
  readonly statsAge = { busySeconds: 60, restSeconds: 600 };
  protected readonly options: ResolvedOptions;
  protected readonly keys: Keys;
  protected readonly client: RestClient;
  protected readonly usageCounter: UsageCounter;
  readonly keepSeconds: number;
  /** Names this instance in what it publishes, so that it does not wake itself. */
  protected readonly origin = randomUUID();
  readonly #workers: Set<string>;

  constructor(options: ResolvedOptions) {
    this.options = options;
    this.keys = createKeys(options);
    this.keepSeconds = Math.max(1, Math.round(options.keepSettledDays * 86_400));
    this.usageCounter = new UsageCounter(options.monotonicMs);
    this.client = new RestClient({
      ...options,
      usage: this.usageCounter,
      onBack: () => this.serverIsBack(),
    });
    this.#workers = new Set([...options.workers, ...knownWorkers]);
  }

  get trouble(): SourceTrouble | null {
    return this.client.trouble;
  }

  /** What this source's commands cost so far. */
  usage(): SourceUsage {
    return this.usageCounter.read();
  }

  async enqueue(job: Job, options: EnqueueOptions): Promise<EnqueueOutcome> {
    refuseDependencies(job);
    const body = jobBody(job);
    this.seenWorker(options.worker);
    const { client, keys, keepSeconds, origin } = this;
    const { maxWaitingPerUser } = this.options;
    const call = { client, keys, keepSeconds, origin, maxWaitingPerUser, body };
    const { availableAtMs, ...outcome } = await enqueueJob(job, options, call);
    if (outcome.created) {
      client.hasRoom();
      this.jobsDue(options.delaySeconds === undefined ? undefined : availableAtMs);
    }
    return outcome;
  }

  async cancel(jobId: string): Promise<"cancelled" | "requested"> {
    let [answer, status] = await this.#cancel(jobId);
    if (answer === "missing") {
      // It may still be on its producer's list, which nobody looks at while all executors are busy.
      await this.#fileArrivals();
      [answer, status] = await this.#cancel(jobId);
    }
    if (answer === "missing") throw jobNotFound(jobId);
    if (answer === "settled") {
      throw nothingToCancel(jobId, endOrDelivery(status ?? "settled"));
    }
    return answer;
  }

  /** Each by its own script: what would block the server for long is none of them. */
  async cancelMany(jobIds: readonly string[]): Promise<CancelOutcome[]> {
    const outcomes: CancelOutcome[] = [];
    for (let from = 0; from < jobIds.length; from += cancelledAtOnce) {
      const answers = await Promise.all(jobIds.slice(from, from + cancelledAtOnce).map((id) => this.#cancel(id)));
      outcomes.push(...answers.map(([answer]) => answer));
    }
    return outcomes;
  }

  match(
    filter: JobFilter,
    page: { readonly limit: number; readonly cursor?: string | undefined },
  ): Promise<MatchedPage> {
    return matchJobs(this.client, this.keys, filter, page);
  }

  discard(jobIds: readonly string[]): Promise<DiscardOutcome[]> {
    return discardJobs(this.client, this.keys, this.keepSeconds, jobIds);
  }

  failureGroups(): Promise<FailureGroup[]> {
    return readFailureGroups(this.client, this.keys);
  }

  async reprioritize(jobId: string, priority: number): Promise<void> {
    let [answer, status] = await this.#reprioritize(jobId, priority);
    if (answer === "missing") {
      await this.#fileArrivals();
      [answer, status] = await this.#reprioritize(jobId, priority);
    }
    if (answer === "missing") throw jobNotFound(jobId);
    if (answer === "refused") throw notQueued(jobId, status ?? "settled");
    this.jobsDue();
  }

  pauseQueue(worker: string): Promise<void> {
    return this.#setPaused(worker, true);
  }

  async resumeQueue(worker: string): Promise<void> {
    await this.#setPaused(worker, false);
    this.jobsDue();
  }

  async redrive(jobId: string): Promise<void> {
    const [answer, status] = replies.redriveAnswer.parse(
      await this.client.run("redrive", {
        keys: [this.keys.job(jobId), this.keys.timetable],
        args: [this.#operatorArgs({})],
      }),
    );
    if (answer === "missing") throw jobNotFound(jobId);
    if (answer === "refused") {
      throw new CodedError("JOB_NOT_FAILED", `Job ${jobId} is ${status}: only a failed job can be redriven.`);
    }
    this.jobsDue();
  }

  async get(jobId: string): Promise<JobRecord | null> {
    const keys = [this.keys.job(jobId), this.keys.timetable, this.keys.offers];
    const args = [this.keys.readyPrefix, this.keys.parkedPrefix];
    const answer = replies.getAnswer.parse(await this.client.run("get", { keys, args }));
    if (answer.length === 0) return null;
    const [state, body, progress, nowMs, offers, place, paused] = answer;
    return toJobRecord(state, body, progress, readOffers(offers, nowMs), { place, paused });
  }

  readLog(jobId: string, attempt: number): Promise<AttemptLog | null> {
    return readLog(this.client, this.keys, jobId, attempt);
  }

  list(filter: ListFilter): Promise<JobPage> {
    return listJobs(this.client, this.keys, filter);
  }

  waiting(worker: string, limit: number): Promise<JobRecord[]> {
    return waitingJobs(this.client, this.keys, worker, limit);
  }

  async stats(): Promise<QueueStats[]> {
    return await readStats(this.client, this.keys, this.workers);
  }

  deadLetters(limit: number): Promise<DeadLetter[]> {
    return readDeadLetters(this.client, this.keys, limit);
  }

  discardDeadLetters(worker: string, id: string | undefined, signal: AbortSignal): Promise<number> {
    return discardDeadLetters(this.client, this.keys, { worker, id }, signal);
  }

  /** Takes off the indexes what is gone. Once an hour is enough. */
  prune(): Promise<void> {
    return pruneIndexes(this.client, this.keys, this.keepSeconds);
  }

  /**
   * Puts jobs back that a server which evicts has taken off their queues. Answers how many.
   * @param leaseSeconds how long a container has to renew a lease that is not known any more
   */
  async repair(leaseSeconds: number): Promise<number> {
    const { client, keys, origin } = this;
    const repaired = await repairQueues(client, keys, { leaseSeconds, origin });
    if (repaired > 0) this.jobsDue();
    return repaired;
  }

  /** After it did not answer. */
  protected serverIsBack(): void {}

  /** A job is due, or will be at this time of the server: for whoever waits in this process. */
  protected jobsDue(_dueAtMs?: number): void {}

  /** A job was brought to its end here, which is to be reported. */
  protected endsDue(): void {}

  /** The cancel of a running job was requested here. */
  protected cancelRequested(_jobId: string): void {}

  protected get takeSettings(): TakeSettings {
    const { keys, keepSeconds, origin } = this;
    const { leaseSeconds, workerId } = this.options;
    return { keys, keepSeconds, leaseSeconds, workerId, origin };
  }

  protected seenWorker(worker: string): void {
    this.#workers.add(worker);
  }

  protected get workers(): readonly string[] {
    return [...this.#workers];
  }

  async #cancel(jobId: string) {
    const call = {
      keys: [this.keys.job(jobId), this.keys.timetable],
      args: [this.#operatorArgs({ keepSeconds: this.keepSeconds })],
    };
    const answer = replies.cancelAnswer.parse(await this.client.run("cancel", call));
    if (answer[0] === "requested") this.cancelRequested(jobId);
    if (answer[0] === "cancelled") this.endsDue();
    return answer;
  }

  async #reprioritize(jobId: string, priority: number) {
    const call = { keys: [this.keys.job(jobId)], args: [this.#operatorArgs({ priority })] };
    return replies.reprioritizeAnswer.parse(await this.client.run("reprioritize", call));
  }

  async #setPaused(worker: string, isPaused: boolean): Promise<void> {
    this.seenWorker(worker);
    const args = [JSON.stringify({ worker, isPaused, channel: this.keys.events, origin: this.origin })];
    await this.client.run("pause", { keys: [this.keys.timetable], args });
  }

  /** A take without a slot files and sweeps, but leases nothing; ends are left to those who report them. */
  async #fileArrivals(): Promise<void> {
    const requests = this.workers.map((worker) => ({ worker, slots: 0 }));
    await this.client.run("take", takeCall(this.takeSettings, requests, noTickets, 0));
  }

  #operatorArgs(more: Readonly<Record<string, unknown>>): string {
    const { readyPrefix, parkedPrefix, failures, failedPrefix, turnsPrefix, events: channel } = this.keys;
    return JSON.stringify({
      readyPrefix,
      parkedPrefix,
      failures,
      failedPrefix,
      turnsPrefix,
      channel,
      origin: this.origin,
      request: randomUUID(),
      ...more,
    });
  }
}

function jobNotFound(jobId: string): CodedError {
  return new CodedError("JOB_NOT_FOUND", `There is no job ${jobId}.`);
}
