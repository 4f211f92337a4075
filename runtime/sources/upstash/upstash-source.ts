import { randomBytes } from "node:crypto";
import type { AttemptLog } from "#contract/attempt-log.ts";
import type { ErrorReport } from "#contract/errors.ts";
import { boundedReason, type ReleaseReason } from "#contract/release-reason.ts";
import type {
  ChangeKind,
  JobResult,
  JobSource,
  Lease,
  LeaseKey,
  NotedDelivery,
  Offer,
  Renewal,
  RenewalOutcome,
  SettleOutcome,
  Taken,
  TakeRequest,
  UnreportedEnd,
} from "../job-source.ts";
import { offerTtlSeconds } from "../job-source.ts";
import type { SourceProblem } from "../source-definition.ts";
import { UnansweredTakes } from "../unanswered-takes.ts";
import { keepLog } from "./attempt-logs.ts";
import { Changes } from "./changes.ts";
import { HeldEnds } from "./held-ends.ts";
import { HeldLeases } from "./held-leases.ts";
import { formatOffers } from "./offers.ts";
import { type ResolvedOptions, resolveOptions, type UpstashOptions } from "./options.ts";
import { readJob } from "./records.ts";
import { renewLeases } from "./renewing.ts";
import * as replies from "./replies.ts";
import { ServerClock } from "./server-clock.ts";
import { ServerWatch } from "./server-watch.ts";
import { type BatchedSettlement, SettleBatch } from "./settle-batch.ts";
import { takeCall } from "./take-call.ts";
import { UpstashQueue } from "./upstash-queue.ts";
import { UpstashSessions } from "./upstash-sessions.ts";

type SettleCall = "complete" | "fail" | "cancelled" | "retry" | "release";

const pruneEveryMs = 3_600_000;
/** Where the server evicts, and is likely to have taken something. */
const repairEveryMs = 60_000;
/** More are answered by the calls that follow at once. */
const maxEndsInOneCall = 64;
/** Each reads and writes a record, while other callers wait. */
const maxNotesInOneCall = 100;

/**
 * The source of jobs over Redis' REST API, shared by any number of containers. Each operation is one script that Redis
 * runs atomically and that may be repeated after its answer was lost. See `createKeys` for what is kept where.
 */
export class UpstashSource extends UpstashQueue implements JobSource {
  readonly name = "upstash";
  readonly leaseSeconds: number;
  /** Waits see to everything that becomes due; this is the safety net beneath them. */
  readonly idleTakeSeconds = 600;
  readonly sessions: UpstashSessions;
  readonly #clock: ServerClock;
  readonly #held = new HeldLeases();
  readonly #changes: Changes;
  readonly #ends = new HeldEnds();
  readonly #server: ServerWatch;
  readonly #unanswered: UnansweredTakes;
  readonly #batches: Readonly<Record<SettleCall, SettleBatch>>;
  #requests: readonly TakeRequest[] | undefined;
  #prunedAtMs: number;
  #undecodable = 0;
  #repeated = 0;

  constructor(options: ResolvedOptions) {
    super(options);
    this.leaseSeconds = options.leaseSeconds;
    this.sessions = new UpstashSessions(this.client, this.keys);
    this.#clock = new ServerClock(options.monotonicMs);
    this.#unanswered = new UnansweredTakes(options.monotonicMs);
    this.#prunedAtMs = options.monotonicMs();
    this.#server = new ServerWatch({ client: this.client, markerKey: this.keys.marker, log: options.log });
    this.#changes = new Changes({
      options,
      client: this.client,
      keys: this.keys,
      clock: this.#clock,
      held: this.#held,
      usage: this.usageCounter,
      origin: this.origin,
      requests: () => this.#requests ?? this.workers.map((worker) => ({ worker })),
    });
    const batch = (call: SettleCall) => new SettleBatch((settlements) => this.#settleAll(call, settlements));
    this.#batches = {
      complete: batch("complete"),
      fail: batch("fail"),
      cancelled: batch("cancelled"),
      retry: batch("retry"),
      release: batch("release"),
    };
  }

  take(requests: readonly TakeRequest[]): Promise<Taken> {
    return this.#held.duringTake(() => this.#take(requests));
  }

  async #take(requests: readonly TakeRequest[]): Promise<Taken> {
    let wanted = requests.filter(({ slots }) => slots > 0);
    // The requests are what jobs are waited for; without a slot only ends are asked for.
    if (wanted.length > 0) this.#requests = wanted;
    for (const { worker } of wanted) this.seenWorker(worker);
    // What was heard up to here, this take sees for itself.
    const { restoreJobs, restoreEnds } = this.#changes.forgetHeard();
    const leases: Lease[] = [];
    const ends: UnreportedEnd[] = [];
    const free = new Map(wanted.map(({ worker, slots }) => [worker, slots]));
    for (;;) {
      const answer = await this.#runTake(wanted).catch((error: unknown) => {
        restoreJobs();
        restoreEnds();
        // What was leased by the calls before is not given away.
        if (leases.length + ends.length > 0) return undefined;
        throw error;
      });
      if (answer === undefined) return { leases, ends };
      for (const { worker, lease } of await this.#accept(answer.leases, answer.mayBeOld)) {
        leases.push(lease);
        free.set(worker, (free.get(worker) ?? 0) - 1);
      }
      ends.push(...this.#acceptEnds(answer.ends));
      wanted = withFreeSlots(wanted, free);
      if (answer.hidesMore && wanted.length > 0) continue;
      const isDrained = wanted.length > 0;
      if (!isDrained) restoreJobs();
      this.#changes.taken(answer.upcoming, isDrained);
      this.#pruneFromTimeToTime();
      return { leases, ends };
    }
  }

  async reported(ends: readonly Pick<UnreportedEnd, "jobId" | "run">[]): Promise<void> {
    if (ends.length === 0) return;
    const members = ends.flatMap((end) => this.#ends.members(end));
    await this.client.command("reported", ["ZREM", this.keys.timetable, ...members]);
    for (const end of ends) this.#ends.letGo(end);
  }

  async announce(offers: ReadonlyMap<string, Offer>): Promise<void> {
    const { workerId } = this.options;
    if (offers.size === 0) {
      await this.client.command("announce", ["HDEL", this.keys.offers, workerId]);
      return;
    }
    if (this.#clock.nowMs() === undefined) {
      this.#clock.hear(replies.serverTime.parse(await this.client.command("announce", ["TIME"])));
    }
    const untilMs = (this.#clock.nowMs() ?? 0) + offerTtlSeconds * 1000;
    await this.client.command("announce", ["HSET", this.keys.offers, workerId, formatOffers(offers, untilMs)]);
  }

  renew(renewals: readonly Renewal[]): Promise<RenewalOutcome[]> {
    const { client, keys, leaseSeconds } = this;
    return renewLeases({ client, keys, leaseSeconds, clock: this.#clock, held: this.#held }, renewals);
  }

  async noteDeliveries(deliveries: readonly NotedDelivery[]): Promise<void> {
    const { jobPrefix } = this.keys;
    for (let from = 0; from < deliveries.length; from += maxNotesInOneCall) {
      const notes = deliveries.slice(from, from + maxNotesInOneCall);
      const leases = notes.flatMap(({ lease, note }) => [lease.jobId, lease.token, JSON.stringify(note)]);
      await this.client.run("note-deliveries", { keys: [], args: [JSON.stringify({ jobPrefix }), ...leases] });
    }
  }

  keepLog(log: AttemptLog): Promise<void> {
    return keepLog(this.client, this.keys, this.keepSeconds, log);
  }

  complete(lease: LeaseKey, result: JobResult): Promise<SettleOutcome> {
    return this.#settle("complete", lease, JSON.stringify(result));
  }

  fail(lease: LeaseKey, error: ErrorReport): Promise<SettleOutcome> {
    const progress = this.#held.get(lease.token)?.progress;
    return this.#settle("fail", lease, JSON.stringify({ error: JSON.stringify(error), progress }));
  }

  cancelled(lease: LeaseKey): Promise<SettleOutcome> {
    return this.#settle("cancelled", lease, String(this.#held.get(lease.token)?.progress ?? ""));
  }

  retry(
    lease: LeaseKey,
    { error, delaySeconds }: { readonly error: ErrorReport; readonly delaySeconds: number },
  ): Promise<SettleOutcome> {
    const delayMs = Math.max(0, Math.round(delaySeconds * 1000));
    return this.#settle("retry", lease, JSON.stringify({ error: JSON.stringify(error), delayMs }), delayMs);
  }

  release(lease: LeaseKey, delaySeconds = 0, reason?: ReleaseReason): Promise<SettleOutcome> {
    const delayMs = Math.max(0, Math.round(delaySeconds * 1000));
    const why = reason === undefined ? {} : { reason: JSON.stringify(boundedReason(reason)) };
    return this.#settle("release", lease, JSON.stringify({ delayMs, ...why }), delayMs);
  }

  waitForChange(timeoutMs: number, signal: AbortSignal, what?: ChangeKind): Promise<void> {
    return this.#changes.wait(timeoutMs, signal, what);
  }

  /** True while changes are heard of the moment that they are made. */
  get hearsEvents(): boolean {
    return this.#changes.isLive;
  }

  /** What about the server loses jobs, or has lost them; none before `watchServer`. */
  get problems(): readonly SourceProblem[] {
    return this.#server.problems;
  }

  /** Looks at the server from time to time, and when it is back after it did not answer. */
  watchServer(): void {
    this.#server.start();
  }

  /** Elements without a job, or with another one's id, that this source moved to the dead letters. */
  get undecodable(): number {
    return this.#undecodable;
  }

  /** Elements of known jobs that this source dropped: their producers pushed them again. */
  get repeated(): number {
    return this.#repeated;
  }

  async close(): Promise<void> {
    this.#server.close();
    this.client.close();
    await this.#changes.close();
  }

  protected override serverIsBack(): void {
    this.#server.serverIsBack();
  }

  protected override jobsDue(dueAtMs?: number): void {
    this.#changes.jobsDue(dueAtMs);
  }

  protected override endsDue(): void {
    this.#changes.endsDue();
  }

  protected override cancelRequested(jobId: string): void {
    this.#changes.cancelRequested(jobId);
  }

  /** Each try has a ticket of its own: one that was applied unheard has used up its tokens. */
  async #runTake(requests: readonly TakeRequest[]) {
    let ticket: string | undefined;
    let mayBeOld = false;
    const nextTry = () => {
      if (ticket !== undefined) this.#unanswered.add(ticket);
      ticket = randomBytes(9).toString("base64url");
      const unanswered = this.#unanswered.tickets();
      mayBeOld = unanswered.length > 0;
      const known = unanswered.length === 0 ? [] : this.#held.tokens();
      return takeCall(this.takeSettings, requests, { ticket, unanswered, known }, maxEndsInOneCall);
    };
    try {
      const answer = replies.takeAnswer.parse(await this.client.run("take", nextTry));
      if (answer.nowMs > 0) this.#clock.hear(answer.nowMs);
      this.#repeated += answer.repeatedCount;
      if (answer.deadCount > 0) {
        this.#undecodable += answer.deadCount;
        this.options.log?.warn(
          { elements: answer.deadCount },
          "elements that cannot be filed went to the dead letters",
        );
      }
      return { ...answer, mayBeOld };
    } catch (error) {
      if (ticket !== undefined) this.#unanswered.add(ticket);
      throw error;
    }
  }

  /** Leases as the port has them. One that was answered before, or whose element is no job, is not among them. */
  async #accept(
    answers: readonly replies.LeaseAnswer[],
    mayBeOld: boolean,
  ): Promise<{ worker: string; lease: Lease }[]> {
    const leases: { worker: string; lease: Lease }[] = [];
    for (const { worker, body, previousError, isEnqueued, ...rest } of answers) {
      if (this.#held.get(rest.token) !== undefined) continue;
      const read = readJob(body, { id: rest.jobId, type: "unknown", user: "anonymous", priority: 0, isEnqueued });
      if (read.undecodable !== undefined) {
        await this.#moveToDeadLetters(rest, read.undecodable);
        continue;
      }
      if (this.#held.hold(rest, worker, mayBeOld)) this.#changes.cancelRequested(rest.jobId);
      const problems = {
        ...(previousError === undefined ? {} : { previousError }),
        ...(read.rejection === undefined ? {} : { rejection: read.rejection }),
      };
      leases.push({ worker, lease: { ...rest, job: read.job, ...problems } });
    }
    return leases;
  }

  /** Ends as the port has them; of one that two answers have, the newer claim. */
  #acceptEnds(answers: readonly replies.EndAnswer[]): UnreportedEnd[] {
    const newest = new Map(answers.map((answer) => [`${answer.end.jobId}:${answer.end.run}`, answer]));
    return [...newest.values()]
      .filter(({ end, ticket }) => this.#ends.hold(end, ticket))
      .map(({ end, body, card }) => ({ ...end, job: readJob(body, card).job }));
  }

  async #moveToDeadLetters({ jobId, token }: Pick<LeaseKey, "jobId" | "token">, reason: string): Promise<void> {
    const { timetable, index, deadLetters } = this.keys;
    const keys = [this.keys.job(jobId), timetable, index, deadLetters];
    await this.client.run("dead-letter", { keys, args: [token, reason] });
    this.#undecodable += 1;
    this.options.log?.warn({ job_id: jobId, reason }, "an element without a job went to the dead letters");
  }

  async #settle(call: SettleCall, lease: LeaseKey, ending: string, delayMs?: number): Promise<SettleOutcome> {
    const outcome = await this.#batches[call].add({ jobId: lease.jobId, token: lease.token, ending });
    this.#held.letGo(lease.token);
    if (delayMs !== undefined && outcome === "requeued") this.#changes.jobsDueIn(delayMs);
    return outcome;
  }

  async #settleAll(call: SettleCall, settlements: readonly BatchedSettlement[]): Promise<SettleOutcome[]> {
    const { jobPrefix, readyPrefix, parkedPrefix, failures, failedPrefix, events: channel } = this.keys;
    const failing = call === "fail" ? { failures, failedPrefix } : {};
    const settings = { jobPrefix, readyPrefix, parkedPrefix, ...failing, keepSeconds: this.keepSeconds };
    // When a job is due again is decided by the server's clock; when it ended is only reported.
    const isRequeue = call === "retry" || call === "release";
    const more = isRequeue
      ? { channel, origin: this.origin, leaseMs: this.leaseSeconds * 1000 }
      : { now: this.#clock.nowMs() };
    const leases = settlements.flatMap(({ jobId, token, ending }) => [jobId, token, ending]);
    const args = [JSON.stringify({ ...settings, ...more }), ...leases];
    const { settleMaxDelayMs } = this.options;
    const keys = [this.keys.timetable, this.keys.discarded];
    return replies.settleAnswer.parse(await this.client.run(call, { keys, args }, settleMaxDelayMs));
  }

  #pruneFromTimeToTime(): void {
    const nowMs = this.options.monotonicMs();
    const everyMs = this.#server.evicts ? repairEveryMs : pruneEveryMs;
    if (nowMs - this.#prunedAtMs < everyMs) return;
    this.#prunedAtMs = nowMs;
    this.keepHouse().catch((error: unknown) => this.options.log?.debug({ error }, "the index could not be pruned"));
  }

  /** What is done from time to time: forgets what is gone, puts back what was evicted. */
  async keepHouse(): Promise<void> {
    await this.prune();
    const repaired = await this.repair(this.leaseSeconds);
    if (repaired > 0)
      this.options.log?.error({ jobs: repaired }, "jobs were on no queue, as after an eviction: they are back");
  }
}

/** The requests that still have a slot. */
function withFreeSlots(requests: readonly TakeRequest[], free: ReadonlyMap<string, number>): TakeRequest[] {
  return requests
    .map((request) => ({ ...request, slots: free.get(request.worker) ?? 0 }))
    .filter(({ slots }) => slots > 0);
}

/** @throws CodedError CONFIG_INVALID */
export function createUpstashSource(options: UpstashOptions): UpstashSource {
  return new UpstashSource(resolveOptions(options));
}
