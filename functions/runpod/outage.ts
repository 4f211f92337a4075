import { throttled } from "#runtime/lib/throttled.ts";
import type { Logger } from "#runtime/observe/log.ts";

export interface OutageOptions {
  readonly log: Logger;
  /** A clock that is never set. */
  readonly steadyMs: () => number;
}

/** The time in which no jobs can be taken, in the log: its begin, once a minute that it goes on, and its end. */
export class Outage {
  readonly #options: OutageOptions;
  #report: (() => void) | null = null;
  #sinceMs = 0;
  #error: unknown;

  constructor(options: OutageOptions) {
    this.#options = options;
  }

  seen(error: unknown): void {
    const { log, steadyMs } = this.#options;
    this.#error = error;
    if (this.#report === null) {
      this.#sinceMs = steadyMs();
      const message = "no jobs can be taken; trying again";
      this.#report = throttled((times) => log.error({ error: this.#error, times }, message), steadyMs);
    }
    this.#report();
  }

  isOver(): void {
    if (this.#report === null) return;
    this.#report = null;
    const { log, steadyMs } = this.#options;
    log.info({ after_ms: Math.round(steadyMs() - this.#sinceMs) }, "jobs are taken again");
  }
}
