import { randomBytes } from "node:crypto";
import type { ErrorReport } from "#contract/errors.ts";
import type {
  ChangeKind,
  JobResult,
  JobSource,
  Lease,
  LeaseKey,
  Renewal,
  RenewalOutcome,
  SettleOutcome,
  Taken,
  TakeRequest,
} from "../job-source.ts";
import { UnansweredTakes } from "../unanswered-takes.ts";
import { Changes } from "./changes.ts";
import { HeldLeases } from "./held-leases.ts";
import { type ResolvedOptions, resolveOptions, type UpstashOptions } from "./options.ts";
import { readJob } from "./records.ts";
import { renewLeases } from "./renewing.ts";
import * as replies from "./replies.ts";
import { RowNotices } from "./row-notices.ts";
import { ServerClock } from "./server-clock.ts";
import { SettleBatch, type Settlement } from "./settle-batch.ts";
import { takeCall } from "./take-call.ts";
import { UpstashQueue } from "./upstash-queue.ts";

type SettleCall = "complete" | "fail" | "cancelled" | "retry" | "release";

/** What each call makes of a job whose cancel was not requested. */
const becomes = {
  complete: "completed",
  fail: "failed",
  cancelled: "cancelled",
  retry: "requeued",
  release: "requeued",
} as const satisfies Record<SettleCall, SettleOutcome>;

const pruneEveryMs = 3_600_000;

/**
 * The source of jobs over Redis' REST API, shared by any number of containers. Each operation is one script that Redis
 * runs atomically and that may be repeated after its answer was lost. See `createKeys` for what is kept where.
 */
export class UpstashSource extends UpstashQueue implements JobSource {
  readonly name = "upstash";
  readonly leaseSeconds: number;
  /** Waits see to everything that becomes due; this is the safety net beneath them. */
  readonly idleTakeSeconds = 600;
  readonly #clock: ServerClock;
  readonly #held = new HeldLeases();
  readonly #changes: Changes;
  readonly #rowNotices: RowNotices;
  readonly #unanswered: UnansweredTakes;
  readonly #batches: Readonly<Record<SettleCall, SettleBatch>>;
  #asked: readonly string[] | undefined;
  #prunedAtMs: number;
  #undecodable = 0;

  constructor(options: ResolvedOptions) {
    super(options);
    this.leaseSeconds = options.leaseSeconds;
    this.#clock = new ServerClock(options.monotonicMs);
    this.#unanswered = new UnansweredTakes(options.monotonicMs);
    this.#rowNotices = new RowNotices(options.rows, options.log);
    this.#prunedAtMs = options.monotonicMs();
    this.#changes = new Changes({
      options,
      client: this.client,
      keys: this.keys,
      clock: this.#clock,
      held: this.#held,
      usage: this.usageCounter,
      origin: this.origin,
      workers: () => this.#asked ?? this.workers,
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

  async take(requests: readonly TakeRequest[]): Promise<Taken> {
    const wanted = requests.filter(({ slots }) => slots > 0);
    if (wanted.length === 0) return { leases: [], ends: [] };
    this.#asked = wanted.map(({ worker }) => worker);
    for (const worker of this.#asked) this.seenWorker(worker);
    // What was heard up to here, this take sees for itself.
    const restoreHeard = this.#changes.forgetHeardJobs();
    const answer = await this.#runTake(wanted).catch((error: unknown) => {
      restoreHeard();
      throw error;
    });
    if (answer.nowMs > 0) this.#clock.hear(answer.nowMs);
    if (answer.deadCount > 0) {
      this.#undecodable += answer.deadCount;
      this.options.log?.warn({ elements: answer.deadCount }, "elements without a job went to the dead letters");
    }
    this.#rowNotices.cancelled(answer.cancelled);
    const leases = await this.#accept(answer.leases);
    const isDrained = leases.length < wanted.reduce((sum, { slots }) => sum + slots, 0);
    if (!isDrained) restoreHeard();
    this.#changes.taken(answer.upcoming, isDrained);
    this.#pruneFromTimeToTime();
    return { leases, ends: [] };
  }

  async reported(): Promise<void> {}

  renew(renewals: readonly Renewal[]): Promise<RenewalOutcome[]> {
    const { client, keys, leaseSeconds } = this;
    return renewLeases({ client, keys, leaseSeconds, clock: this.#clock, held: this.#held }, renewals);
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

  release(lease: LeaseKey): Promise<SettleOutcome> {
    return this.#settle("release", lease, "", 0);
  }

  waitForChange(timeoutMs: number, signal: AbortSignal, what?: ChangeKind): Promise<void> {
    return this.#changes.wait(timeoutMs, signal, what);
  }

  /** True while changes are heard of the moment that they are made. */
  get hearsEvents(): boolean {
    return this.#changes.isLive;
  }

  /** Elements without a job that this source moved to the dead letters. */
  get undecodable(): number {
    return this.#undecodable;
  }

  async close(): Promise<void> {
    this.client.close();
    await this.#changes.close();
  }

  protected override jobsDue(dueAtMs?: number): void {
    this.#changes.jobsDue(dueAtMs);
  }

  protected override cancelRequested(jobId: string): void {
    this.#changes.cancelAsked(jobId);
  }

  /** Each try has a ticket of its own: one that was applied unheard has used up its tokens. */
  async #runTake(requests: readonly TakeRequest[]) {
    let ticket: string | undefined;
    const nextTry = () => {
      if (ticket !== undefined) this.#unanswered.add(ticket);
      ticket = randomBytes(9).toString("base64url");
      const unanswered = this.#unanswered.tickets();
      const known = unanswered.length === 0 ? [] : this.#held.tokens();
      return takeCall(this.takeSettings, requests, { ticket, unanswered, known });
    };
    try {
      return replies.takeAnswer.parse(await this.client.run("take", nextTry));
    } catch (error) {
      if (ticket !== undefined) this.#unanswered.add(ticket);
      throw error;
    }
  }

  /** Leases as the port has them. One that was answered before, or whose element is no job, is not among them. */
  async #accept(answers: readonly replies.LeaseAnswer[]): Promise<Lease[]> {
    const leases: Lease[] = [];
    for (const { worker, body, previousError, ...rest } of answers) {
      if (this.#held.get(rest.token) !== undefined) continue;
      const read = readJob(body, { id: rest.jobId, type: "unknown", user: "anonymous", priority: 0 });
      if (read.undecodable !== undefined) {
        await this.#bury(rest, read.undecodable);
        continue;
      }
      this.#held.hold(rest, worker);
      leases.push({
        ...rest,
        run: 1,
        job: read.job,
        ...(previousError === undefined ? {} : { previousError }),
        ...(read.rejection === undefined ? {} : { rejection: read.rejection }),
      });
    }
    return leases;
  }

  async #bury({ jobId, token }: Pick<LeaseKey, "jobId" | "token">, reason: string): Promise<void> {
    const { timetable, index, deadLetters } = this.keys;
    const keys = [this.keys.job(jobId), timetable, index, deadLetters];
    await this.client.run("bury", { keys, args: [token, reason] });
    this.#undecodable += 1;
    this.options.log?.warn({ job_id: jobId, reason }, "an element without a job went to the dead letters");
  }

  async #settle(call: SettleCall, lease: LeaseKey, ending: string, delayMs?: number): Promise<SettleOutcome> {
    const outcome = await this.#batches[call].add({ jobId: lease.jobId, token: lease.token, ending });
    this.#held.letGo(lease.token);
    if (delayMs !== undefined && outcome !== "lost") this.#changes.jobsDueIn(delayMs);
    return outcome;
  }

  async #settleAll(call: SettleCall, settlements: readonly Settlement[]): Promise<SettleOutcome[]> {
    const { jobPrefix, readyPrefix, timetable, events: channel } = this.keys;
    const settings = { jobPrefix, readyPrefix, keepSeconds: this.keepSeconds };
    // When a job is due again is decided by the server's clock; when it ended is only told.
    const isRequeue = call === "retry" || call === "release";
    const more = isRequeue ? { channel, origin: this.origin } : { now: this.#clock.nowMs() };
    const leases = settlements.flatMap(({ jobId, token, ending }) => [jobId, token, ending]);
    const args = [JSON.stringify({ ...settings, ...more }), ...leases];
    const { settlePatienceMs } = this.options;
    const answers = replies.settleAnswer.parse(
      await this.client.run(call, { keys: [timetable], args }, settlePatienceMs),
    );
    return answers.map((settled) => (settled === 1 ? becomes[call] : "lost"));
  }

  #pruneFromTimeToTime(): void {
    const nowMs = this.options.monotonicMs();
    if (nowMs - this.#prunedAtMs < pruneEveryMs) return;
    this.#prunedAtMs = nowMs;
    this.prune().catch((error: unknown) => this.options.log?.debug({ error }, "the index could not be pruned"));
  }
}

/** @throws CodedError CONFIG_INVALID */
export function createUpstashSource(options: UpstashOptions): UpstashSource {
  return new UpstashSource(resolveOptions(options));
}
