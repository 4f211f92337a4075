import { randomUUID } from "node:crypto";
import type { z } from "zod";
import type { AttemptLog } from "#contract/attempt-log.ts";
import { CodedError } from "#contract/errors.ts";
import { expiryMomentOf, expirySecondsOf } from "#contract/expiry.ts";
import type { Job } from "#contract/job.ts";
import { jobTypes } from "#contract/job-types.ts";
import { createKeys, type Keys } from "#contract/queue-keys.ts";
import { readOffers } from "#contract/queue-offers.ts";
import { bodyDigest } from "#runtime/lib/body-digest.ts";
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
import { listJobs, waitingJobs } from "./job-pages.ts";
import { discardJobs, fileFailures, matchJobs, readFailureGroups } from "./many-jobs.ts";
import type { ResolvedOptions } from "./options.ts";
import { readStats } from "./queue-stats.ts";
import { endOrDelivery, readJob, toJobRecord } from "./records.ts";
import type { DeadLetter } from "./replies.ts";
import * as replies from "./replies.ts";
import { RestClient } from "./rest-client.ts";
import { type TakeSettings, takeCall } from "./take-call.ts";
import { UsageCounter } from "./usage.ts";

const noTickets = { ticket: "none", unanswered: [], known: [] };
/** What is read of one dead letter, and at how much altogether no more is looked at. */
const deadLetterBytes = { keptBytes: 8192, maxBytes: 32 * 1_048_576 };
/** What one call of `prune` looks at. */
const pruneBatch = 500;
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
    const request = randomUUID();
    const answer = await this.#enqueue(job, options, { body, request });
    if (answer[0] !== "compare") return this.#enqueueOutcome(answer, job, options);
    // A producer pushed the earlier job, in its own dialect, which is understood here and not in the database.
    const [, pushed, id] = answer;
    const earlier = readJob(pushed, { id, type: job.type, user: job.user_id, priority: job.priority });
    const compared = await this.#enqueue(job, options, { body, request, digestOfKnown: bodyDigest(earlier.job) });
    return this.#enqueueOutcome(compared, job, options);
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

  /**
   * Elements in which there is no job, the newest first, each from its beginning; at most 1,000 are kept. Fewer than `limit`
   * where they are large.
   */
  async deadLetters(limit: number): Promise<DeadLetter[]> {
    const args = [JSON.stringify({ limit, ...deadLetterBytes })];
    const [letters] = replies.deadLettersAnswer.parse(
      await this.client.run("dead-letters", { keys: [this.keys.deadLetters], args }),
    );
    return letters;
  }

  /**
   * Takes elements of one worker without a job off, all of them or one; answers how many. Begins no further part after the
   * signal aborts.
   */
  async discardDeadLetters(worker: string, id: string | undefined, signal: AbortSignal): Promise<number> {
    let discarded = 0;
    for (let skip = 0; skip >= 0 && !signal.aborted; ) {
      const args = [JSON.stringify({ worker, id, skip, ...deadLetterBytes })];
      const run = await this.client.run("discard-letters", { keys: [this.keys.deadLetters], args });
      const [taken, next] = replies.discardLettersAnswer.parse(run);
      discarded += taken;
      skip = next;
    }
    return discarded;
  }

  /** Takes jobs whose records are gone off the indexes, and offers of containers that are gone. Once an hour is enough. */
  async prune(): Promise<void> {
    const { jobPrefix, failedPrefix, index, offers, failures } = this.keys;
    for (let from = "0"; from !== ""; ) {
      const args = [
        JSON.stringify({ jobPrefix, failedPrefix, from, keepSeconds: this.keepSeconds, limit: pruneBatch }),
      ];
      [from] = replies.pruneAnswer.parse(await this.client.run("prune", { keys: [index, offers, failures], args }));
    }
    await fileFailures(this.client, this.keys);
  }

  /**
   * Puts jobs back that a server which evicts has taken off their queues. Answers how many.
   * @param leaseSeconds how long a container has to renew a lease that is not known any more
   */
  async repair(leaseSeconds: number): Promise<number> {
    const { jobPrefix, readyPrefix, parkedPrefix, index, timetable, events: channel } = this.keys;
    const settings = {
      jobPrefix,
      readyPrefix,
      parkedPrefix,
      channel,
      origin: this.origin,
      leaseMs: leaseSeconds * 1000,
    };
    let repaired = 0;
    for (let from = "0"; from !== ""; ) {
      const args = [JSON.stringify({ ...settings, from, limit: pruneBatch })];
      const [count, next] = replies.repairAnswer.parse(
        await this.client.run("repair", { keys: [index, timetable], args }),
      );
      repaired += count;
      from = next;
    }
    if (repaired > 0) this.jobsDue();
    return repaired;
  }

  /** A job is due, or will be at this time of the server: for whoever waits in this process. */
  protected serverIsBack(): void {}

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

  async #enqueue(
    job: Job,
    { worker, delaySeconds = 0, idempotencyKey, run }: EnqueueOptions,
    call: { readonly body: string; readonly request: string; readonly digestOfKnown?: string },
  ) {
    const { body, ...rest } = call;
    const expirySeconds = expirySecondsOf(job);
    const key = idempotencyKey === undefined ? "" : this.keys.idempotency(job.user_id, idempotencyKey);
    const args = {
      ...rest,
      jobPrefix: this.keys.jobPrefix,
      parkedPrefix: this.keys.parkedPrefix,
      channel: this.keys.events,
      origin: this.origin,
      id: job.id,
      type: job.type,
      worker,
      user: job.user_id,
      priority: job.priority,
      model: job.model_variant,
      run,
      digest: bodyDigest(job),
      expiresIn: expirySeconds === null ? undefined : Math.ceil(expirySeconds * 1000),
      expiresAt: expiryMomentOf(job) ?? undefined,
      delayMs: Math.round(delaySeconds * 1000),
      keepSeconds: this.keepSeconds,
      maxWaiting: this.options.maxWaitingPerUser,
    };
    const { index, timetable, discarded } = this.keys;
    const keys = [index, timetable, this.keys.ready(worker), this.keys.turns(worker), key, discarded];
    let tries = 0;
    const nextTry = () => ({ keys, args: [JSON.stringify({ ...args, isRepeat: ++tries > 1 }), body] });
    return replies.enqueueAnswer.parse(await this.client.run("enqueue", nextTry));
  }

  #enqueueOutcome(
    answer: z.output<typeof replies.enqueueAnswer>,
    job: Job,
    { idempotencyKey, delaySeconds }: EnqueueOptions,
  ): EnqueueOutcome {
    switch (answer[0]) {
      case "enqueued": {
        const [, created, jobId, position, availableAtMs] = answer;
        if (created === 1) this.client.hasRoom();
        if (created === 1) this.jobsDue(delaySeconds === undefined ? undefined : availableAtMs);
        return { jobId, created: created === 1, position };
      }
      case "full":
        throw new CodedError(
          "TOO_MANY_JOBS",
          `User ${job.user_id} has ${answer[1]} jobs waiting: at most ${this.options.maxWaitingPerUser} are taken.`,
        );
      default: {
        const [, by, jobId] = answer;
        const what = by === "key" ? `Idempotency key "${idempotencyKey}"` : `Job id ${job.id}`;
        throw new CodedError(
          "IDEMPOTENCY_CONFLICT",
          `${what} was used for a job with another body: send the same body again, or use a new one.`,
          { details: { jobId } },
        );
      }
    }
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
