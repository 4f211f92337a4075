import { randomUUID } from "node:crypto";
import { z } from "zod";
import { type AttemptLog, boundedLog } from "#contract/attempt-log.ts";
import type { DeliveryNote } from "#contract/delivery-note.ts";
import type { ErrorReport } from "#contract/errors.ts";
import { boundedReason, type ReleaseReason } from "#contract/release-reason.ts";
import { storable } from "#contract/storable.ts";
import {
  type ChangeKind,
  type JobResult,
  type JobSource,
  type LeaseKey,
  type NotedDelivery,
  type Offer,
  offerTtlSeconds,
  type Renewal,
  type RenewalOutcome,
  type SettleOutcome,
  type Taken,
  type TakeRequest,
  type UnreportedEnd,
} from "../job-source.ts";
import { LeaseWatch } from "../lease-watch.ts";
import { UnansweredTakes } from "../unanswered-takes.ts";
import { HeldLeases } from "./held-leases.ts";
import { type DueJobs, JobWatch } from "./job-watch.ts";
import { type ResolvedOptions, resolveOptions, type SupabaseSourceOptions } from "./options.ts";
import * as replies from "./replies.ts";
import { SupabaseQueue } from "./supabase-queue.ts";
import { SupabaseSessions } from "./supabase-sessions.ts";

/**
 * The source of jobs in a Supabase project's own database, for installations without Redis: any number of containers
 * claim from one table. Each operation is one function and one transaction there, and may be repeated after its answer
 * was lost: a claim by its ticket, settling by the lease's token.
 */
export class SupabaseSource extends SupabaseQueue implements JobSource {
  readonly name = "supabase";
  readonly leaseSeconds: number;
  /** Waits look for what becomes due; this is the safety net beneath them. */
  readonly idleTakeSeconds = 60;
  readonly sessions: SupabaseSessions;
  readonly #held = new HeldLeases();
  readonly #unanswered: UnansweredTakes;
  readonly #jobs: JobWatch;
  readonly #ends: JobWatch;
  readonly #leases: LeaseWatch;
  #workers: readonly string[];

  constructor(options: ResolvedOptions) {
    super(options);
    const { monotonicMs, random, idlePoll } = options;
    this.leaseSeconds = options.leaseSeconds;
    this.sessions = new SupabaseSessions(this.client);
    this.#workers = options.workers;
    this.#unanswered = new UnansweredTakes(monotonicMs);
    this.#jobs = new JobWatch({ monotonicMs, random, ...idlePoll, look: () => this.#lookForJobs() });
    const { maxMs } = idlePoll;
    this.#ends = new JobWatch({ monotonicMs, random, firstMs: maxMs, maxMs, look: () => this.#lookForEnds() });
    this.#leases = new LeaseWatch({ pauseMs: () => idlePoll.cancelMs, anyChanged: () => this.#anyLeaseChanged() });
  }

  async take(requests: readonly TakeRequest[]): Promise<Taken> {
    const wanted = requests.filter(({ slots }) => slots > 0);
    if (wanted.length > 0) this.#workers = wanted.map(({ worker }) => worker);
    const taken = await this.#take(wanted);
    for (const { token } of taken.leases) this.#held.hold(token);
    // Who found something is likely to find more: the next wait looks soon.
    if (taken.leases.length > 0 || taken.ends.length > 0) this.#jobs.lookNow();
    if (taken.ends.length > 0) this.#ends.lookNow();
    return taken;
  }

  async reported(ends: readonly Pick<UnreportedEnd, "jobId" | "run">[]): Promise<void> {
    if (ends.length === 0) return;
    const args = { ends: ends.map(({ jobId, run }) => ({ job_id: jobId, run })) };
    await this.client.call("ends_reported", { args: () => args, answer: replies.counted });
  }

  async announce(offers: ReadonlyMap<string, Offer>): Promise<void> {
    const args = {
      worker_id: this.options.workerId,
      offers: [...offers].map(([worker, offer]) => ({ worker, ...toWire(offer) })),
      ttl_seconds: offerTtlSeconds,
    };
    await this.client.call("announce_offers", { args: () => args, answer: replies.counted });
  }

  async renew(renewals: readonly Renewal[]): Promise<RenewalOutcome[]> {
    if (renewals.length === 0) return [];
    const args = {
      renewals: renewals.map(({ lease, progress }) => ({ job_id: lease.jobId, token: lease.token, progress })),
      lease_seconds: this.leaseSeconds,
    };
    const outcomes = await this.client.call("renew_leases", { args: () => args, answer: replies.renewals });
    return renewals.map(({ lease }, place) => {
      const outcome = outcomes[place] ?? "lost";
      if (outcome === "lost") this.#held.letGo(lease.token);
      if (outcome === "cancelled") this.#held.cancelKnown(lease.token);
      return outcome;
    });
  }

  async noteDeliveries(deliveries: readonly NotedDelivery[]): Promise<void> {
    const notes = deliveries.map(({ lease, note }) => ({
      job_id: lease.jobId,
      token: lease.token,
      note: forUsers(note),
    }));
    await this.client.call("note_deliveries", { args: () => ({ notes: storable(notes) }), answer: replies.counted });
  }

  async keepLog(log: AttemptLog): Promise<void> {
    const args = () => ({ log: storable(boundedLog({ ...log, run: log.run ?? 1 })) });
    await this.client.call("keep_attempt_log", { args, answer: z.null() });
  }

  complete(lease: LeaseKey, result: JobResult): Promise<SettleOutcome> {
    return this.#settle(lease, { call: "complete", result });
  }

  fail(lease: LeaseKey, error: ErrorReport): Promise<SettleOutcome> {
    return this.#settle(lease, { call: "fail", error });
  }

  cancelled(lease: LeaseKey): Promise<SettleOutcome> {
    return this.#settle(lease, { call: "cancelled" });
  }

  async retry(
    lease: LeaseKey,
    { error, delaySeconds }: { readonly error: ErrorReport; readonly delaySeconds: number },
  ): Promise<SettleOutcome> {
    const outcome = await this.#settle(lease, { call: "retry", error, delay_seconds: Math.max(0, delaySeconds) });
    this.#jobs.lookNow();
    return outcome;
  }

  async release(lease: LeaseKey, delaySeconds = 0, reason?: ReleaseReason): Promise<SettleOutcome> {
    const why = reason === undefined ? {} : { reason: boundedReason(reason) };
    const outcome = await this.#settle(lease, { call: "release", delay_seconds: Math.max(0, delaySeconds), ...why });
    this.#jobs.lookNow();
    return outcome;
  }

  async waitForChange(timeoutMs: number, signal: AbortSignal, what?: ChangeKind): Promise<void> {
    if (what === "jobs") return this.#jobs.wait(timeoutMs, signal);
    if (what === "ends") return this.#ends.wait(timeoutMs, signal);
    if (what === "leases") return this.#leases.wait(timeoutMs, signal);
    const over = new AbortController();
    const either = AbortSignal.any([signal, over.signal]);
    await Promise.race([this.#jobs.wait(timeoutMs, either), this.#leases.wait(timeoutMs, either)]);
    over.abort();
  }

  async close(): Promise<void> {
    this.client.close();
    await Promise.all([this.#jobs.close(), this.#ends.close(), this.#leases.close()]);
  }

  protected override jobsChanged(): void {
    this.#jobs.lookNow();
  }

  protected override endsChanged(): void {
    this.#jobs.lookNow();
    this.#ends.lookNow();
  }

  protected override leasesChanged(): void {
    this.#leases.look();
  }

  /** Each try has a ticket of its own; what those took that went unanswered is given back by the next one. */
  async #take(requests: readonly TakeRequest[]): Promise<Taken> {
    let ticket: string | undefined;
    const wanted = requests.map(({ worker, slots, heldModels, offer, skip }) => ({
      worker,
      slots,
      held_models: heldModels ?? [],
      ...(offer === undefined ? {} : { offer: toWire(offer) }),
      ...(skip === undefined ? {} : { skip: skip.map(({ userId, type }) => ({ user_id: userId, type })) }),
    }));
    const args = () => {
      if (ticket !== undefined) this.#unanswered.add(ticket);
      const unanswered = this.#unanswered.tickets();
      ticket = randomUUID();
      const { workerId: worker_id } = this.options;
      return { worker_id, requests: wanted, lease_seconds: this.leaseSeconds, ticket, unanswered };
    };
    try {
      return await this.client.call("take_jobs", { args, answer: replies.taken });
    } catch (error) {
      if (ticket !== undefined) this.#unanswered.add(ticket);
      throw error;
    }
  }

  async #settle(
    lease: LeaseKey,
    ending: Readonly<Record<string, unknown>> & { readonly call: string },
  ): Promise<SettleOutcome> {
    const settlement = { job_id: lease.jobId, token: lease.token, lease_seconds: this.leaseSeconds, ...ending };
    // What cannot be kept as it is must not keep a job from its end.
    const args = () => ({ settlement: storable(settlement) });
    const answer = await this.client.call("settle_job", { args, answer: replies.settled });
    this.#held.letGo(lease.token);
    return answer.outcome === "lost" ? "lost" : answer.became;
  }

  async #lookForJobs(): Promise<DueJobs> {
    const args = () => ({ workers: this.#workers, held_tokens: this.#held.tokens() });
    const { now_ms, due, next_ms } = await this.client.call("due_jobs", { args, answer: replies.dueJobs });
    return { due, nextInMs: next_ms === null ? undefined : next_ms - now_ms };
  }

  /** What by a take may bring an end: all that is due but the jobs that wait. */
  async #lookForEnds(): Promise<DueJobs> {
    const { due, nextInMs } = await this.#lookForJobs();
    return { due: due.filter((key) => !key.startsWith("job:")), nextInMs };
  }

  async #anyLeaseChanged(): Promise<boolean> {
    const unchanged = this.#held.unchanged();
    if (unchanged.length === 0) return false;
    const args = () => ({ tokens: unchanged });
    const changed = await this.client.call("changed_leases", { args, answer: replies.tokens });
    // What was settled here in the meantime is no news.
    const news = changed.filter((token) => this.#held.has(token));
    for (const token of news) this.#held.cancelKnown(token);
    return news.length > 0;
  }
}

/** A user reads the row of their own job: addresses and names of variables are the operator's. */
function forUsers({ error, ...note }: DeliveryNote): DeliveryNote {
  if (error === null) return { ...note, error };
  const other = note.step === "files" ? "storage" : "app";
  return { ...note, error: { code: error.code, message: `The ${other} does not take it yet (${error.code}).` } };
}

function toWire({ types, defaultModelTypes, models }: Offer) {
  return { types, default_model_types: defaultModelTypes, models };
}

/** @throws CodedError CONFIG_INVALID */
export function createSupabaseSource(options: SupabaseSourceOptions): SupabaseSource {
  return new SupabaseSource(resolveOptions(options));
}
