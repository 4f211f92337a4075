import { isDeepStrictEqual } from "node:util";
import { within } from "#runtime/lib/within.ts";
import type { Logger } from "#runtime/observe/log.ts";
import { type JobSource, type Offer, offerRenewSeconds } from "#runtime/sources/job-source.ts";

/* Announces to every source what this container offers: at a change, and before it runs out; withdraws it at the end. */
const everyMs = offerRenewSeconds * 1000;
/** Between two announcements; what changes meanwhile goes with the next. */
const minGapMs = 1000;
const afterFailureMs = 10_000;
const withdrawTimeoutMs = 3000;

type Announced = Pick<JobSource, "announce">;

export class Announcer {
  readonly #sources: readonly Announced[];
  readonly #log: Logger;
  #announced: ReadonlyMap<string, Offer> | null;
  #wanted: ReadonlyMap<string, Offer> = new Map();
  #timer: NodeJS.Timeout | null = null;
  #lastAtMs = Number.NEGATIVE_INFINITY;
  #underWay: Promise<void> = Promise.resolve();
  #failed = false;
  #stopped = false;

  /** @param announced what the sources have already; null when that is not known, and is to be replaced even by nothing */
  constructor(sources: readonly Announced[], log: Logger, announced: ReadonlyMap<string, Offer> | null = null) {
    this.#sources = sources.filter(({ announce }) => announce !== undefined);
    this.#log = log;
    this.#announced = announced;
  }

  /** Announces the offers when they are others than before, soon. */
  offer(offers: ReadonlyMap<string, Offer>): void {
    this.#wanted = offers;
    if (isDeepStrictEqual(offers, this.#announced) || this.#stopped) return;
    this.#schedule(this.#lastAtMs + (this.#failed ? afterFailureMs : minGapMs) - performance.now());
  }

  /** Withdraws the offers; resolves when that is done, or takes too long. */
  async stop(): Promise<void> {
    this.#stopped = true;
    if (this.#timer) clearTimeout(this.#timer);
    await within(
      withdrawTimeoutMs,
      this.#underWay.then(() => (this.#isWithdrawn() ? undefined : this.#announce(new Map()))),
    );
  }

  #isWithdrawn(): boolean {
    return this.#announced?.size === 0 && !this.#failed;
  }

  #schedule(inMs: number): void {
    if (this.#timer) clearTimeout(this.#timer);
    this.#timer = setTimeout(
      () => {
        this.#underWay = this.#announce(this.#wanted);
        void this.#underWay.then(() => {
          if (this.#stopped) return;
          const isCurrent = isDeepStrictEqual(this.#wanted, this.#announced);
          this.#schedule(this.#failed ? afterFailureMs : isCurrent ? everyMs : minGapMs);
        });
      },
      Math.max(0, inMs),
    );
    this.#timer.unref();
  }

  async #announce(offers: ReadonlyMap<string, Offer>): Promise<void> {
    this.#lastAtMs = performance.now();
    try {
      await Promise.all(this.#sources.map((source) => source.announce?.(offers)));
      this.#announced = offers;
      this.#failed = false;
    } catch (error) {
      if (!this.#failed) this.#log.warn({ error }, "what this container offers could not be announced; trying again");
      this.#failed = true;
    }
  }
}
