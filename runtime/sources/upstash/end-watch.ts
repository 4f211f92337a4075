import { TimedSignal } from "../timed-signal.ts";
import type { ServerClock } from "./server-clock.ts";

export interface EndWatchOptions {
  readonly clock: ServerClock;
  readonly monotonicMs: () => number;
  /** Pause between two looks. */
  readonly everyMs: number;
  /** When the next end is to be reported, by the server's clock, which may be past; undefined: never. One command. */
  nextEnd(): Promise<number | undefined>;
}

/**
 * Ends waits for ends: at events, at the moments that the timetable holds, and, because events may be missing, by looking
 * now and then. A busy container is not woken by the jobs that others wait for, and a job that is shorter than the pause
 * costs no look.
 */
export class EndWatch {
  readonly #options: EndWatchOptions;
  readonly #signal = new TimedSignal({ inMs: () => this.#inMs(), act: () => this.#act() });
  #lookAtMs = 0;
  #endMs: number | undefined;

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
    this.#signal.schedule();
  }

  close(): Promise<void> {
    return this.#signal.close();
  }

  #inMs(): number {
    const { clock, monotonicMs } = this.#options;
    const endInMs = this.#endMs === undefined ? Number.POSITIVE_INFINITY : this.#endMs - (clock.nowMs() ?? 0);
    return Math.min(this.#lookAtMs - monotonicMs(), endInMs);
  }

  #act(): Promise<void> | undefined {
    const nowMs = this.#options.clock.nowMs();
    if (this.#endMs !== undefined && nowMs !== undefined && this.#endMs <= nowMs) {
      this.#endMs = undefined;
      this.#signal.notify();
      return undefined;
    }
    return this.#look();
  }

  async #look(): Promise<void> {
    if (this.#options.monotonicMs() < this.#lookAtMs) return;
    this.#lookAtMs = this.#options.monotonicMs() + this.#options.everyMs;
    this.#endMs = await this.#options.nextEnd();
  }
}
