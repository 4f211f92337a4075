import { setTimeout as pause } from "node:timers/promises";
import { RetryableError } from "#contract/errors.ts";
import { OutboxClaims } from "#runtime/delivery/outbox-claims.ts";
import type { JobSource, Lease, LeaseKey, SettleOutcome } from "#runtime/sources/job-source.ts";
import type { Chance } from "./chance.ts";

/** What a container has of the world: it ends when the container is killed. */
export class Life {
  isOver = false;

  /** The port as a process has it that may be killed: from then on nothing is requested by it, and nothing is answered to it. */
  port<Port extends object>(
    port: Port,
    on: (name: string, call: () => unknown) => unknown = (_, call) => call(),
  ): Port {
    return new Proxy(port, {
      get: (target, name) => {
        const value: unknown = Reflect.get(target, name, target);
        if (value instanceof OutboxClaims) return this.port(value);
        if (typeof value !== "function") return value;
        return (...args: unknown[]) => {
          if (this.isOver) return new Promise(() => undefined);
          const answer = on(String(name), () => Reflect.apply(value, target, args));
          return answer instanceof Promise ? this.#unlessOver(answer) : answer;
        };
      },
    });
  }

  #unlessOver(answer: Promise<unknown>): Promise<unknown> {
    return new Promise((resolve, reject) => {
      answer.then(
        (value) => this.isOver || resolve(value),
        (error: unknown) => this.isOver || reject(error),
      );
    });
  }
}

const callsWithTrouble: ReadonlySet<string> = new Set([
  ...["take", "reported", "renew", "complete", "fail", "cancelled", "retry", "release"],
]);

/** What goes wrong with calls of a source: some are not made, and the answers of some are lost. */
export interface SourceTroubles {
  /** 0 to 1, of each kind. */
  readonly probability: number;
}

/** A source over a line that fails at times. */
export function sourceOver(life: Life, source: JobSource, chance: Chance, { probability }: SourceTroubles): JobSource {
  return life.port(source, (name, call) => {
    if (!callsWithTrouble.has(name)) return call();
    return troubled(async () => await call(), chance, probability);
  });
}

async function troubled(call: () => Promise<unknown>, chance: Chance, probability: number): Promise<unknown> {
  if (chance.is(probability)) throw new RetryableError("connection refused");
  const answer = await call();
  if (chance.is(probability)) throw new RetryableError("the answer was lost");
  return answer;
}

const maxDelayMs = 6;

export interface AppTroubles {
  /** Whether what the app has done may go unheard of. */
  readonly losesAnswers: boolean;
}

/** Sends to an app that is slow, refuses at times, and may lose answers; `onLost` is given what it has taken all the same. */
export async function sendOver(
  chance: Chance,
  { losesAnswers }: AppTroubles,
  send: () => Promise<void>,
  onLost: () => void,
): Promise<void> {
  if (chance.is(0.3)) await pause(chance.random() * maxDelayMs);
  const away = (message: string) => new RetryableError(message, { code: "CALLBACK_UNREACHABLE" });
  if (chance.is(0.1)) throw away("503");
  await send();
  if (chance.is(0.3)) await pause(chance.random() * maxDelayMs);
  if (!losesAnswers || !chance.is(0.1)) return;
  onLost();
  throw away("the answer was lost");
}

/** What a container holds: whoever lives renews leases, and lets the source know of ends, in time. */
export class HeldTokens {
  /** Ends that the source has answered and does not know to be recorded: of all containers on a folder. */
  readonly ends: Set<string>;
  readonly #leases = new Map<string, LeaseKey>();
  readonly #runs = new Map<string, number>();
  readonly #letGo = new Set<string>();

  constructor(ends: Set<string>) {
    this.ends = ends;
  }

  get leases(): readonly LeaseKey[] {
    return [...this.#leases.values()];
  }

  /** As a container's calls tell it. */
  watch(source: JobSource): JobSource {
    const letGo = ({ token }: LeaseKey) => {
      this.#leases.delete(token);
      this.#letGo.add(token);
    };
    const settled = async <Outcome>(lease: LeaseKey, outcome: Promise<Outcome>) => {
      const became = await outcome;
      letGo(lease);
      return became;
    };
    const endOf = ({ jobId, run }: Pick<Lease, "jobId" | "run">) => `${jobId}/${run}`;
    const givenBack = async (lease: LeaseKey, outcome: Promise<SettleOutcome>) => {
      letGo(lease);
      const became = await outcome;
      if (became === "cancelled" || became === "failed")
        this.ends.add(endOf({ jobId: lease.jobId, run: this.#runs.get(lease.token) ?? 1 }));
      return became;
    };
    return Object.assign(Object.create(source), {
      take: async (...[requests]: Parameters<JobSource["take"]>) => {
        const taken = await source.take(requests);
        for (const lease of taken.leases) {
          this.#leases.set(lease.token, lease);
          this.#runs.set(lease.token, lease.run);
        }
        for (const end of taken.ends) this.ends.add(endOf(end));
        return taken;
      },
      reported: async (...[ends]: Parameters<JobSource["reported"]>) => {
        await source.reported(ends);
        for (const end of ends) this.ends.delete(endOf(end));
      },
      renew: async (...[renewals]: Parameters<JobSource["renew"]>) => {
        const outcomes = await source.renew(renewals);
        for (const [place, { lease }] of renewals.entries())
          if (outcomes[place] === "lost") letGo(lease);
          else if (!this.#letGo.has(lease.token)) this.#leases.set(lease.token, lease);
        return outcomes;
      },
      complete: (...args: Parameters<JobSource["complete"]>) => settled(args[0], source.complete(...args)),
      fail: (...args: Parameters<JobSource["fail"]>) => settled(args[0], source.fail(...args)),
      cancelled: (...args: Parameters<JobSource["cancelled"]>) => settled(args[0], source.cancelled(...args)),
      // An attempt that could not be given back is left to its lease.
      retry: (...args: Parameters<JobSource["retry"]>) => givenBack(args[0], source.retry(...args)),
      release: (...args: Parameters<JobSource["release"]>) => givenBack(args[0], source.release(...args)),
    });
  }
}
