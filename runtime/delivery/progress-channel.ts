import type { JobCallback } from "#contract/callback.ts";
import type { Logger } from "#runtime/observe/log.ts";
import type { Callback } from "./callbacks/callback.ts";

/*
 * The one ordered channel of a job's callbacks while it runs: "processing" at once when it starts and then at most once
 * a second with the newest progress. `close` waits for what is on its way and lets nothing follow, so that progress
 * can never overtake the final state.
 *
 * Progress is best effort: one that cannot be sent is dropped, the next one holds more.
 */
const sendEveryMs = 1000;
const sendLimitMs = 5000;

export class ProgressChannel {
  readonly #callback: Callback;
  readonly #log: Logger;
  #next: JobCallback | null = null;
  #timer: NodeJS.Timeout | null = null;
  #inFlight: Promise<void> | null = null;
  #lastSentMs = Number.NEGATIVE_INFINITY;
  #closed = false;

  constructor(callback: Callback, log: Logger) {
    this.#callback = callback;
    this.#log = log;
  }

  send(callback: JobCallback): void {
    if (this.#closed) return;
    this.#next = callback;
    if (this.#inFlight === null && this.#timer === null) this.#schedule();
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#next = null;
    if (this.#timer) clearTimeout(this.#timer);
    await this.#inFlight;
  }

  #schedule(): void {
    const waitMs = Math.max(0, this.#lastSentMs + sendEveryMs - performance.now());
    this.#timer = setTimeout(() => {
      this.#timer = null;
      this.#inFlight = this.#sendNext().finally(() => {
        this.#inFlight = null;
        if (this.#next !== null && !this.#closed) this.#schedule();
      });
    }, waitMs);
  }

  async #sendNext(): Promise<void> {
    const callback = this.#next;
    this.#next = null;
    if (callback === null) return;
    this.#lastSentMs = performance.now();
    // AbortSignal.timeout() would go off later all the same, and make an error with a stack trace for each callback.
    const limit = new AbortController();
    const timer = setTimeout(() => limit.abort(), sendLimitMs);
    try {
      await this.#callback.send(callback, limit.signal);
    } catch (error) {
      this.#log.debug({ error, job_id: callback.job_id }, "a progress callback could not be sent");
    } finally {
      clearTimeout(timer);
    }
  }
}
