import type { Job } from "#contract/job.ts";
import type { Offer, TakeRequest } from "../job-source.ts";
import { type HeldJobs, isOffered } from "./held-jobs.ts";
import type { KnownHandler } from "./job-input.ts";

export interface HeldClockOptions {
  readonly held: HeldJobs;
  readonly unofferedLimitMs: number;
  handlerOf(type: string): KnownHandler | undefined;
  /** A job that waits is due, or must not be run any more. */
  onTime(): void;
}

/**
 * The clocks of the jobs that wait in this container: they run out whether or not anybody takes. A worker for which nothing is
 * requested may be busy, and runs its job later, or be withheld: what was announced tells these apart.
 */
export class HeldClock {
  readonly #options: HeldClockOptions;
  /** As announced last; null before that. */
  #offers: ReadonlyMap<string, Offer> | null = null;
  #timer: NodeJS.Timeout | null = null;
  #isStopped = false;

  constructor(options: HeldClockOptions) {
    this.#options = options;
  }

  announced(offers: ReadonlyMap<string, Offer>): void {
    this.#offers = offers;
    this.look();
  }

  /** Rejects what has waited for too long, and comes again when the next one has. */
  look(requests: readonly TakeRequest[] = []): void {
    const { held, unofferedLimitMs } = this.#options;
    held.judge((job) => this.#isOffered(job, requests), unofferedLimitMs);
    if (this.#timer) clearTimeout(this.#timer);
    this.#timer = null;
    const inMs = held.nextChangeInMs(unofferedLimitMs);
    if (inMs !== null && !this.#isStopped) this.#timer = setTimeout(this.#onTimer, Math.min(inMs + 1, 2 ** 31 - 1));
    this.#timer?.unref();
  }

  stop(): void {
    this.#isStopped = true;
    if (this.#timer) clearTimeout(this.#timer);
  }

  readonly #onTimer = (): void => {
    this.look();
    this.#options.onTime();
  };

  #isOffered(job: Job, requests: readonly TakeRequest[]): boolean {
    const worker = this.#options.handlerOf(job.type)?.worker;
    if (worker === undefined) return false;
    const request = requests.find((one) => one.worker === worker);
    if (request !== undefined) return isOffered(job, request.offer);
    if (this.#offers === null) return true;
    const offer = this.#offers.get(worker);
    return offer !== undefined && isOffered(job, offer);
  }
}
