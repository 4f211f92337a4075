import { TimedSignal } from "../timed-signal.ts";
import type { ServerClock } from "./server-clock.ts";

export interface QueueWatchOptions {
  readonly clock: ServerClock;
  readonly random: () => number;
  /** Shortest and greatest pause between two looks. */
  readonly pauses: () => { readonly firstMs: number; readonly maxMs: number };
  /** How old the knowledge of the timetable may become. */
  readonly timetableEveryMs: number;
  readonly monotonicMs: () => number;
  /** How many queues have something in them. One command. */
  countNonEmpty(): Promise<number>;
  /**
   * When, after `afterMs`, the next delay ends or somebody else's lease runs out, by the server's clock; undefined:
   * never. One command.
   */
  nextMoment(afterMs: number): Promise<number | undefined>;
}

const growth = 1.6;

/**
 * Ends waits for jobs: at events, at the moments that the timetable holds, and, because events may be missing, by
 * looking: soon after something happened, then less and less often.
 */
export class QueueWatch {
  readonly #options: QueueWatchOptions;
  readonly #signal = new TimedSignal({ inMs: () => this.#inMs(), act: () => this.#act() });
  #pauseMs = 0;
  #lookAtMs = 0;
  #timetableReadAtMs = Number.NEGATIVE_INFINITY;
  #momentMs: number | undefined;
  /** Moments up to this one have ended a wait: one that nobody has acted on does not end another. */
  #notifiedUntilMs = 0;
  #nonEmpty = 0;

  constructor(options: QueueWatchOptions) {
    this.#options = options;
  }

  wait(timeoutMs: number, signal: AbortSignal): Promise<void> {
    return this.#signal.wait(timeoutMs, signal);
  }

  /** Something is due now, or at this time of the server. */
  heard(dueAtMs?: number): void {
    const nowMs = this.#options.clock.nowMs();
    if (dueAtMs === undefined || nowMs === undefined || dueAtMs <= nowMs) {
      this.#signal.notify();
      return;
    }
    this.#momentMs = Math.min(this.#momentMs ?? dueAtMs, dueAtMs);
    this.#signal.schedule();
  }

  /** Whoever takes now sees what was heard so far. The returned function is for a take that came to nothing. */
  forgetHeard(): () => void {
    return this.#signal.forget();
  }

  /** What a take has seen: the timetable's next moment, and that it left nothing behind for those who took. */
  taken(momentMs: number | undefined, isDrained: boolean): void {
    const { monotonicMs } = this.#options;
    this.#timetableReadAtMs = monotonicMs();
    this.#momentMs = momentMs;
    if (isDrained) this.#nonEmpty = 0;
  }

  /** Events may have been missed: look at once. */
  lookNow(): void {
    this.#pauseMs = 0;
    this.#lookAtMs = 0;
    this.#signal.schedule();
  }

  /** Events are not heard any more: look often for a while. A stream that is back at once saves the first look. */
  lookSoon(): void {
    this.#pauseMs = 0;
    this.#lookAtMs = Math.min(this.#lookAtMs, this.#options.monotonicMs() + this.#options.pauses().firstMs);
    this.#signal.schedule();
  }

  close(): Promise<void> {
    return this.#signal.close();
  }

  #inMs(): number {
    const { clock, monotonicMs, timetableEveryMs } = this.#options;
    const atMs = monotonicMs();
    const momentInMs = this.#momentMs === undefined ? Number.POSITIVE_INFINITY : this.#momentMs - (clock.nowMs() ?? 0);
    return Math.min(this.#lookAtMs - atMs, this.#timetableReadAtMs + timetableEveryMs - atMs, momentInMs);
  }

  #act(): Promise<void> | undefined {
    const nowMs = this.#options.clock.nowMs();
    if (this.#momentMs !== undefined && nowMs !== undefined && this.#momentMs <= nowMs) {
      this.#notifiedUntilMs = nowMs;
      this.#momentMs = undefined;
      this.#timetableReadAtMs = Number.NEGATIVE_INFINITY;
      this.#signal.notify();
      return undefined;
    }
    return this.#look();
  }

  async #look(): Promise<void> {
    const { monotonicMs, timetableEveryMs, random, pauses } = this.#options;
    const isTimetableOld = monotonicMs() >= this.#timetableReadAtMs + timetableEveryMs;
    if (isTimetableOld) {
      this.#timetableReadAtMs = monotonicMs();
      this.#momentMs = await this.#options.nextMoment(this.#notifiedUntilMs);
    }
    if (monotonicMs() < this.#lookAtMs) return;
    const { firstMs, maxMs } = pauses();
    this.#pauseMs = Math.min(maxMs, Math.max(firstMs, this.#pauseMs * growth));
    this.#lookAtMs = monotonicMs() + this.#pauseMs * (0.8 + 0.4 * random());
    const nonEmpty = await this.#options.countNonEmpty();
    const isMore = nonEmpty > this.#nonEmpty;
    this.#nonEmpty = nonEmpty;
    if (isMore) this.#signal.notify();
  }
}
