import { ChangeSignal } from "../change-signal.ts";
import type { ServerClock } from "./server-clock.ts";

export interface EndWatchOptions {
  readonly clock: ServerClock;
  readonly monotonicMs: () => number;
  /** Pause between two looks. */
  readonly everyMs: number;
  /** When the next end is to be reported, by the server's clock, which may be past; undefined: never. One command. */
  nextEnd(): Promise<number | undefined>;
}

/** A timer that is set for longer would fire at once. */
const maxTimerMs = 2 ** 31 - 1;

/**
 * Ends waits for ends: at events, at the moments that the timetable holds, and, because events may be missing, by looking
 * now and then. A busy container is not woken by the jobs that others wait for, and a job that is shorter than the pause
 * costs no look.
 */
export class EndWatch {
  readonly #options: EndWatchOptions;
  readonly #signal = new ChangeSignal((isWaiting) => (isWaiting ? this.#begin() : this.#end()));
  #timer: NodeJS.Timeout | undefined;
  #isWaiting = false;
  #lookAtMs = 0;
  #endMs: number | undefined;
  #looking: Promise<void> | undefined;

  constructor(options: EndWatchOptions) {
    this.#options = options;
  }

  wait(timeoutMs: number, signal: AbortSignal): Promise<void> {
    return this.#signal.wait(timeoutMs, signal);
  }

  heard(): void {
    this.#signal.notify();
  }

  /** Whoever takes now sees what was heard so far. The returned function is for a take that came to nothing. */
  forgetHeard(): () => void {
    return this.#signal.forget();
  }

  /** What a take has seen of the timetable. */
  taken(endMs: number | undefined): void {
    this.#lookAtMs = this.#options.monotonicMs() + this.#options.everyMs;
    this.#endMs = endMs;
  }

  /** Events may have been missed: look at once. */
  lookNow(): void {
    this.#lookAtMs = 0;
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
    const { clock, monotonicMs } = this.#options;
    const endInMs = this.#endMs === undefined ? Number.POSITIVE_INFINITY : this.#endMs - (clock.nowMs() ?? 0);
    const inMs = Math.min(this.#lookAtMs - monotonicMs(), endInMs);
    this.#timer = setTimeout(() => this.#act(), Math.min(Math.max(0, Math.ceil(inMs)), maxTimerMs));
  }

  #act(): void {
    const nowMs = this.#options.clock.nowMs();
    if (this.#endMs !== undefined && nowMs !== undefined && this.#endMs <= nowMs) {
      this.#endMs = undefined;
      this.#signal.notify();
      return;
    }
    // What is wrong with the server is reported by the calls that use it; a wait that ended at it would spin.
    this.#looking = this.#look()
      .catch(() => undefined)
      .finally(() => {
        this.#looking = undefined;
        this.#schedule();
      });
  }

  async #look(): Promise<void> {
    if (this.#options.monotonicMs() < this.#lookAtMs) return;
    this.#lookAtMs = this.#options.monotonicMs() + this.#options.everyMs;
    this.#endMs = await this.#options.nextEnd();
  }
}
