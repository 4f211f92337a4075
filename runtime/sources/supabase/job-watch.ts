import { TimedSignal } from "../timed-signal.ts";

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

/**
 * Ends waits for jobs, by looking: at once when something may have happened, then less and less often, and at the moments
 * that the last look named. A job that has been reported once does not end another wait: whoever could not take it
 * knows of it.
 */
export class JobWatch {
  readonly #options: JobWatchOptions;
  readonly #signal = new TimedSignal({
    inMs: () => this.#lookAtMs - this.#options.monotonicMs(),
    act: () =>
      this.#look().finally(() => {
        if (this.#lookAgain) this.#lookAtMs = 0;
        this.#lookAgain = false;
      }),
  });
  #pauseMs = 0;
  #lookAtMs = 0;
  #known: ReadonlySet<string> = new Set();
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
    this.#lookAgain = this.#signal.isLooking;
    this.#signal.schedule();
  }

  close(): Promise<void> {
    return this.#signal.close();
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
