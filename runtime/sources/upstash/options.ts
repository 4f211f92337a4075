import { CodedError } from "#contract/errors.ts";
import { defaultKeepSettledDays, defaultPrefix, type ProducersList } from "#contract/queue-keys.ts";
import type { Logger } from "#runtime/observe/log.ts";
import type { Transport } from "./rest-client.ts";

export interface UpstashOptions {
  /** `UPSTASH_REDIS_REST_URL` */
  readonly url: string;
  /** `UPSTASH_REDIS_REST_TOKEN`, the one that may write. */
  readonly token: string;
  /** Names this container in the attempts that it makes. */
  readonly workerId: string;
  /** Begins every key but the producers' lists. */
  readonly prefix?: string;
  /** Workers whose queues are counted and looked at before the first take names them. */
  readonly workers?: readonly string[];
  /** Where a producer's list is not `<worker>_queue` with its oldest element on the right. */
  readonly lists?: Readonly<Record<string, Partial<ProducersList>>>;
  /** Seconds that a lease lasts without renewal. Each renewal is one command, at a third of this time. */
  readonly leaseSeconds?: number;
  /** How long the record of a settled job is kept. */
  readonly keepSettledDays?: number;
  /** How many jobs of one user may wait in one queue, delayed ones too; any number by default. */
  readonly maxWaitingPerUser?: number;
  /** Hear of changes by the server's event stream, so that asking can be rare. On by default. */
  readonly events?: boolean;
  readonly idlePoll?: Partial<IdlePoll>;
  /** A connection of the event stream that died without a word is noticed by making a new one at this age. */
  readonly eventStreamMaxAgeMs?: number;
  readonly requestTimeoutMs?: number;
  /** How long the settling of a job may wait for a request to share, for callers that do not wait for it. */
  readonly settleMaxDelayMs?: number;
  readonly tries?: number;
  /** How commands are sent, in place of the container's own way. */
  readonly transport?: Transport | undefined;
  readonly log?: Logger;
  readonly random?: () => number;
  /** A clock that is never set, for measuring. */
  readonly monotonicMs?: () => number;
}

/** How often the queue is looked at while nothing happens; what each costs is in the documentation of `Changes`. */
export interface IdlePoll {
  /** While events come: the safety net for producers that do not publish. */
  readonly withEventsMs: number;
  /** Without events, after something happened … */
  readonly firstMs: number;
  /** … and after a while in which nothing did. */
  readonly withoutEventsMs: number;
  /** The timetable: when the next delay ends or somebody's lease runs out. */
  readonly timetableMs: number;
  /** The timetable, while all executors are busy: whether an end is to be reported of which no event came. */
  readonly endsMs: number;
  /** Without events, for the cancel of a running job. */
  readonly cancelMs: number;
}

export type ResolvedOptions = Required<Omit<UpstashOptions, "log" | "idlePoll" | "transport">> & {
  readonly transport: Transport | undefined;
  readonly idlePoll: IdlePoll;
  readonly log: Logger | undefined;
};

export const defaultIdlePoll: IdlePoll = {
  withEventsMs: 18_000,
  firstMs: 1_000,
  withoutEventsMs: 4_500,
  timetableMs: 60_000,
  endsMs: 90_000,
  cancelMs: 10_000,
};

/** @throws CodedError CONFIG_INVALID */
export function resolveOptions(options: UpstashOptions): ResolvedOptions {
  const url = checkedUrl(options.url);
  if (options.token === "" || /\s/.test(options.token)) {
    throw new CodedError("CONFIG_INVALID", "UPSTASH_REDIS_REST_TOKEN must be the database's token, without spaces.");
  }
  return {
    url,
    token: options.token,
    workerId: options.workerId,
    prefix: options.prefix ?? defaultPrefix,
    workers: options.workers ?? [],
    lists: options.lists ?? {},
    leaseSeconds: options.leaseSeconds ?? 90,
    keepSettledDays: options.keepSettledDays ?? defaultKeepSettledDays,
    maxWaitingPerUser: options.maxWaitingPerUser ?? 0,
    events: options.events ?? true,
    idlePoll: { ...defaultIdlePoll, ...options.idlePoll },
    eventStreamMaxAgeMs: options.eventStreamMaxAgeMs ?? 600_000,
    requestTimeoutMs: options.requestTimeoutMs ?? 10_000,
    settleMaxDelayMs: options.settleMaxDelayMs ?? 0,
    tries: options.tries ?? 4,
    transport: options.transport,
    log: options.log,
    random: options.random ?? Math.random,
    monotonicMs: options.monotonicMs ?? (() => performance.now()),
  };
}

function checkedUrl(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url?.protocol !== "https:" && url?.protocol !== "http:") {
    throw new CodedError(
      "CONFIG_INVALID",
      "UPSTASH_REDIS_REST_URL must be the https URL of the database's REST API, not its redis:// address.",
    );
  }
  return text.replace(/\/+$/, "");
}
