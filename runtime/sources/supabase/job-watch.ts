import { ChangeSignal } from "../change-signal.ts";

/** What the database says of jobs that could be taken. */
export interface DueJobs {
  /** A key for each time that a job became due. */
  readonly due: readonly string[];
  /** Until the next delay ends or somebody else's lease runs out; undefined: never. */
  readonly nextInMs: number | undefined;
}

export interface JobWatchOptions {
  readonly monotonicMs: () => number;
  readonly random: () => number;
  readonly firstMs: number;
  readonly maxMs: number;
  /** One request. */
  look(): Promise<DueJobs>;
}

const growth = 1.6;
/** A timer that is set for longer would fire at once. */
const maxTimerMs = 2 ** 31 - 1;

/**
 * Ends waits for jobs, by looking: at once when something may have happened, then less and less often, and at the moments
 * that the last look named. A job that has been reported once does not end another wait: whoever could not take it
 * knows of it.
 */
export class JobWatch {
  readonly #options: JobWatchOptions;
  readonly #signal = new ChangeSignal((isWaiting) => (isWaiting ? this.#begin() : this.#end()));
  #timer: NodeJS.Timeout | undefined;
  #isWaiting = false;
  #pauseMs = 0;
  #lookAtMs = 0;
  #known: ReadonlySet<string> = new Set();
  #looking: Promise<void> | undefined;
  #lookAgain = false;

  constructor(options: JobWatchOptions) {
    this.#options = options;
  }

  wait(timeoutMs: number, signal: AbortSignal): Promise<void> {
    return this.#signal.wait(timeoutMs, signal);
  }

  /** Something has happened here: look at once, and often for a while. */
  lookNow(): void {
    this.#pauseMs = 0;
    this.#lookAtMs = 0;
    // What a look that is under way sees may be older.
    this.#lookAgain = this.#looking !== undefined;
    this.#schedule();
  }

  async close(): Promise<void> {
    this.#signal.close();
    await this.#looking;
  }

  #begin(): void {
    this.#isWaiting = true;
    this.#schedule();
  }

  #end(): void {
    this.#isWaiting = false;
    clearTimeout(this.#timer);
  }

  #schedule(): void {
    if (!this.#isWaiting || this.#looking !== undefined) return;
    clearTimeout(this.#timer);
    const inMs = this.#lookAtMs - this.#options.monotonicMs();
    this.#timer = setTimeout(() => this.#act(), Math.min(Math.max(0, Math.ceil(inMs)), maxTimerMs));
  }

  #act(): void {
    // What is wrong with the server is reported by the calls that use it; a wait that ended at it would spin.
    this.#looking = this.#look()
      .catch(() => undefined)
      .finally(() => {
        this.#looking = undefined;
        if (this.#lookAgain) this.#lookAtMs = 0;
        this.#lookAgain = false;
        this.#schedule();
      });
  }

  async #look(): Promise<void> {
    const { firstMs, maxMs, random, monotonicMs } = this.#options;
    this.#pauseMs = Math.min(maxMs, Math.max(firstMs, this.#pauseMs * growth));
    const pauseMs = this.#pauseMs * (0.8 + 0.4 * random());
    this.#lookAtMs = monotonicMs() + pauseMs;
    const { due, nextInMs } = await this.#options.look();
    // The moment itself belongs to it, and a clock that runs a little slower must not make this a loop.
    if (nextInMs !== undefined) this.#lookAtMs = monotonicMs() + Math.min(pauseMs, Math.max(nextInMs, 0) + 5);
    const isNews = due.some((key) => !this.#known.has(key));
    this.#known = new Set(due);
    if (isNews) this.#signal.notify();
  }
}
