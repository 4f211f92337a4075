import { CodedError } from "#contract/errors.ts";
import type { Logger } from "#runtime/observe/log.ts";

export interface SupabaseSourceOptions {
  /** `SUPABASE_URL` */
  readonly url: string;
  /** `SUPABASE_SERVICE_KEY`: a `service_role` JWT, or a secret key (`sb_secret_…`). */
  readonly serviceKey: string;
  /** Names this container in the attempts that it makes. */
  readonly workerId: string;
  /** Workers whose jobs are waited for before the first take names them. */
  readonly workers?: readonly string[];
  /** Seconds that a lease lasts without renewal. */
  readonly leaseSeconds?: number;
  readonly idlePoll?: Partial<IdlePoll>;
  /** How long one try of a request may take. */
  readonly requestTimeoutMs?: number;
  /** How often a request is tried before its error is thrown; none is begun after `requestTimeoutMs`. */
  readonly tries?: number;
  readonly log?: Logger;
  readonly random?: () => number;
  /** A clock that is never set, for measuring. */
  readonly monotonicMs?: () => number;
}

/** How often the database is asked while nothing happens: there are no events, and a request costs the database little. */
export interface IdlePoll {
  /** For jobs, after something happened … */
  readonly firstMs: number;
  /** … and after a while in which nothing did. */
  readonly maxMs: number;
  /** For the cancel of a running job; not asked when none runs. */
  readonly cancelMs: number;
}

export type ResolvedOptions = Required<Omit<SupabaseSourceOptions, "log" | "idlePoll">> & {
  readonly idlePoll: IdlePoll;
  readonly log: Logger | undefined;
};

const defaultIdlePoll: IdlePoll = { firstMs: 300, maxMs: 5_000, cancelMs: 2_000 };

/** @throws CodedError CONFIG_INVALID */
export function resolveOptions(options: SupabaseSourceOptions): ResolvedOptions {
  const url = URL.canParse(options.url) ? new URL(options.url) : undefined;
  if (url?.protocol !== "https:" && url?.protocol !== "http:") {
    const example = "https://<project>.supabase.co";
    throw new CodedError("CONFIG_INVALID", `SUPABASE_URL must be the project's address, such as ${example}.`);
  }
  if (options.serviceKey === "" || /\s/.test(options.serviceKey)) {
    throw new CodedError("CONFIG_INVALID", "SUPABASE_SERVICE_KEY must be the project's service key, without spaces.");
  }
  return {
    url: options.url.replace(/\/+$/, ""),
    serviceKey: options.serviceKey,
    workerId: options.workerId,
    workers: options.workers ?? [],
    leaseSeconds: options.leaseSeconds ?? 90,
    idlePoll: { ...defaultIdlePoll, ...options.idlePoll },
    requestTimeoutMs: options.requestTimeoutMs ?? 10_000,
    tries: options.tries ?? 4,
    log: options.log,
    random: options.random ?? Math.random,
    monotonicMs: options.monotonicMs ?? (() => performance.now()),
  };
}
