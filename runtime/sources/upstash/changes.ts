import type { Keys } from "#contract/queue-keys.ts";
import { waitIsOver } from "#runtime/lib/within.ts";
import type { ChangeKind, Offer, TakeRequest } from "../job-source.ts";
import { LeaseWatch } from "../lease-watch.ts";
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
    this.#leases = new LeaseWatch({
      pauseMs: () => (this.#stream?.isLive ? undefined : idlePoll.cancelMs),
      anyChanged: () => this.#anyChanged(),
    });
    this.#stream = options.events ? this.#createStream() : undefined;
  }

  async wait(timeoutMs: number, signal: AbortSignal, what?: ChangeKind): Promise<void> {
    this.#stream?.start();
    if (what === "jobs") return this.#jobs.wait(timeoutMs, signal);
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

  /** The cancel of a running job was requested; whose it is shows here. */
  cancelRequested(jobId: string): void {
    if (this.#from.held.markSuspect(jobId)) this.#leases.heard();
  }

  forgetHeardJobs(): () => void {
    return this.#jobs.forgetHeard();
  }

  taken(upcoming: readonly Moment[], isDrained: boolean): void {
    this.#jobs.taken(this.#firstOfOthers(upcoming), isDrained);
  }

  get isLive(): boolean {
    return this.#stream?.isLive ?? false;
  }

  async close(): Promise<void> {
    await Promise.all([this.#jobs.close(), this.#leases.close(), this.#stream?.close()]);
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
    return this.#firstOfOthers(parseMoments(answer).filter(({ atMs }) => atMs > afterMs));
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

/** Where jobs inside the offer are parked by containers that cannot run them. */
function parkedKeys(keys: Keys, worker: string, offer: Offer | undefined): string[] {
  if (offer === undefined) return [keys.parked(worker)];
  return [
    ...offer.defaultModelTypes.map((type) => keys.parkedFor(worker, type, null)),
    ...offer.types.flatMap((type) => offer.models.map((model) => keys.parkedFor(worker, type, model))),
  ];
}
