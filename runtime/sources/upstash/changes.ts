import type { Keys } from "#contract/queue-keys.ts";
import { waitIsOver } from "#runtime/lib/within.ts";
import type { ChangeKind, Offer, TakeRequest } from "../job-source.ts";
import { LeaseWatch } from "../lease-watch.ts";
import { EndWatch } from "./end-watch.ts";
import { EventStream } from "./event-stream.ts";
import { parseEvent } from "./events.ts";
import type { HeldLeases } from "./held-leases.ts";
import type { ResolvedOptions } from "./options.ts";
import { QueueWatch } from "./queue-watch.ts";
import { type Moment, parseMoments, scores, serverTime } from "./replies.ts";
import type { RestClient } from "./rest-client.ts";
import type { ServerClock } from "./server-clock.ts";
import type { UsageCounter } from "./usage.ts";

export interface ChangesOptions {
  readonly options: ResolvedOptions;
  readonly client: RestClient;
  readonly keys: Keys;
  readonly clock: ServerClock;
  readonly held: HeldLeases;
  readonly usage: UsageCounter;
  /** Names this container in what it publishes. */
  readonly origin: string;
  /** What jobs are waited for. */
  readonly requests: () => readonly Pick<TakeRequest, "worker" | "offer">[];
}

/** How many entries of the timetable are read to find one that is not our own lease. */
export const upcomingCount = 8;

/**
 * Notifies the loop that takes and the loop that renews when there is something for them: by the event stream, and without
 * one by looking from time to time. Nothing is sent as long as nobody waits.
 */
export class Changes {
  readonly #from: ChangesOptions;
  readonly #jobs: QueueWatch;
  readonly #ends: EndWatch;
  readonly #leases: LeaseWatch;
  readonly #stream: EventStream | undefined;

  constructor(from: ChangesOptions) {
    this.#from = from;
    const { options, clock } = from;
    const { idlePoll } = options;
    this.#jobs = new QueueWatch({
      clock,
      random: options.random,
      monotonicMs: options.monotonicMs,
      timetableEveryMs: Math.min(idlePoll.timetableMs, options.leaseSeconds * 500),
      pauses: () =>
        this.#stream?.isLive
          ? { firstMs: idlePoll.withEventsMs, maxMs: idlePoll.withEventsMs }
          : { firstMs: idlePoll.firstMs, maxMs: idlePoll.withoutEventsMs },
      countNonEmpty: () => this.#countNonEmpty(),
      nextMoment: (afterMs) => this.#nextMoment(afterMs),
    });
    this.#ends = new EndWatch({
      clock,
      monotonicMs: options.monotonicMs,
      everyMs: idlePoll.endsMs,
      nextEnd: () => this.#nextEnd(),
    });
    this.#leases = new LeaseWatch({
      pauseMs: () => (this.#stream?.isLive ? undefined : idlePoll.cancelMs),
      anyChanged: () => this.#anyChanged(),
    });
    this.#stream = options.events ? this.#createStream() : undefined;
  }

  async wait(timeoutMs: number, signal: AbortSignal, what?: ChangeKind): Promise<void> {
    this.#stream?.start();
    if (what === "jobs") return this.#jobs.wait(timeoutMs, signal);
    if (what === "ends") return this.#ends.wait(timeoutMs, signal);
    if (what === "leases") return this.#leases.wait(timeoutMs, signal);
    const over = new AbortController();
    const either = AbortSignal.any([signal, over.signal]);
    await Promise.race([this.#jobs.wait(timeoutMs, either), this.#leases.wait(timeoutMs, either)]);
    over.abort(waitIsOver);
  }

  /** A job is due, or will be at this time of the server. */
  jobsDue(dueAtMs?: number): void {
    this.#jobs.heard(dueAtMs);
  }

  jobsDueIn(delayMs: number): void {
    const nowMs = this.#from.clock.nowMs();
    this.#jobs.heard(delayMs === 0 || nowMs === undefined ? undefined : nowMs + delayMs);
  }

  /** An end is to be reported. */
  endsDue(): void {
    this.#jobs.heard();
    this.#ends.heard();
  }

  /** The cancel of a running job was requested; whose it is shows here. */
  cancelRequested(jobId: string): void {
    if (this.#from.held.markSuspect(jobId)) this.#leases.heard();
  }

  /** Whoever takes now sees what was heard so far. The returned functions are for a take that did not see it. */
  forgetHeard(): { readonly restoreJobs: () => void; readonly restoreEnds: () => void } {
    return { restoreJobs: this.#jobs.forgetHeard(), restoreEnds: this.#ends.forgetHeard() };
  }

  taken(upcoming: readonly Moment[], isDrained: boolean): void {
    this.#jobs.taken(this.#firstOfOthers(upcoming), isDrained);
    this.#ends.taken(upcoming.find(({ member }) => isOfEnd(member))?.atMs);
  }

  get isLive(): boolean {
    return this.#stream?.isLive ?? false;
  }

  async close(): Promise<void> {
    await Promise.all([this.#jobs.close(), this.#ends.close(), this.#leases.close(), this.#stream?.close()]);
  }

  #createStream(): EventStream {
    const { options, keys, usage } = this.#from;
    return new EventStream({
      url: options.url,
      token: options.token,
      channel: keys.events,
      connectTimeoutMs: options.requestTimeoutMs,
      maxAgeMs: options.eventStreamMaxAgeMs,
      random: options.random,
      usage,
      onMessage: (text) => this.#receive(text),
      onOpen: () => {
        this.#jobs.lookNow();
        this.#ends.lookNow();
        this.#leases.look();
      },
      onClosed: (reason) => {
        options.log?.debug({ reason }, "the event stream of the queue ended; connecting again");
        this.#jobs.lookSoon();
      },
    });
  }

  #receive(text: string): void {
    const event = parseEvent(text);
    if (event.origin === this.#from.origin) return;
    if (event.kind === "cancel") this.cancelRequested(event.jobId);
    else if (event.kind === "end") this.endsDue();
    else if (event.worker === undefined || this.#from.requests().some(({ worker }) => worker === event.worker)) {
      this.jobsDue(event.dueAtMs);
    }
  }

  async #countNonEmpty(): Promise<number> {
    const { keys, requests, client } = this.#from;
    const names = requests().flatMap(({ worker, offer }) => [
      keys.producersList(worker).list,
      keys.ready(worker),
      ...parkedKeys(keys, worker, offer),
    ]);
    return names.length === 0 ? 0 : Number(await client.command("look", ["EXISTS", ...names]));
  }

  async #nextMoment(afterMs: number): Promise<number | undefined> {
    return this.#firstOfOthers(await this.#readUpcoming(afterMs));
  }

  /** Of a lease that ran out, too, an end may come: its cancel may have been requested. */
  async #nextEnd(): Promise<number | undefined> {
    const upcoming = await this.#readUpcoming(0);
    const nowMs = this.#from.clock.nowMs() ?? 0;
    const isDue = ({ member, atMs }: Moment) => atMs <= nowMs && !this.#from.held.has(member);
    return upcoming.find((moment) => isOfEnd(moment.member) || isDue(moment))?.atMs;
  }

  async #readUpcoming(afterMs: number): Promise<Moment[]> {
    const { client, keys, clock } = this.#from;
    if (clock.nowMs() === undefined) {
      clock.hear(serverTime.parse(await client.command("look", ["TIME"])));
    }
    const answer = await client.command("look", [
      "ZRANGE",
      keys.timetable,
      `(${afterMs}`,
      "+inf",
      "BYSCORE",
      "LIMIT",
      "0",
      String(upcomingCount),
      "WITHSCORES",
    ]);
    return parseMoments(answer).filter(({ atMs }) => atMs > afterMs);
  }

  /** The own leases' moments are no news: they are renewed. */
  #firstOfOthers(upcoming: readonly Moment[]): number | undefined {
    return upcoming.find(({ member }) => !this.#from.held.has(member))?.atMs;
  }

  async #anyChanged(): Promise<boolean> {
    const { held, client, keys } = this.#from;
    const leases = held.trusted();
    if (leases.length === 0) return false;
    const command: [string, ...string[]] = ["ZMSCORE", keys.timetable, ...leases.map((lease) => lease.member)];
    const found = scores.parse(await client.command("look", command));
    const changed = leases.filter((_, place) => found[place] === null);
    for (const lease of changed) lease.isSuspect = true;
    return changed.length > 0;
  }
}

/** An end that is to be reported, a job's own time limit, or (empty) more than one take sees to. */
function isOfEnd(member: string): boolean {
  return member === "" || member.startsWith(":end:") || member.startsWith(":expiry:");
}

/** Where jobs inside the offer are parked by containers that cannot run them. */
function parkedKeys(keys: Keys, worker: string, offer: Offer | undefined): string[] {
  if (offer === undefined) return [keys.parked(worker)];
  return [
    ...offer.defaultModelTypes.map((type) => keys.parkedFor(worker, type, null)),
    ...offer.types.flatMap((type) => offer.models.map((model) => keys.parkedFor(worker, type, model))),
  ];
}
