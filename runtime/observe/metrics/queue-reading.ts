import { within } from "#runtime/lib/within.ts";
import type { JobQueues } from "#runtime/sources/job-queues.ts";
import type { JobQueue, QueueStats } from "#runtime/sources/job-source.ts";

/*
 * What waits in a queue, as it is reported to whoever scrapes: queried again only when the last answer has become old, and
 * never waited for longer than `limitMs`. A queue that is paid by the call sets how old an answer may become; at rest,
 * when nothing waits or runs, older than else.
 */
export interface QueueReadingOptions {
  readonly queue: Pick<JobQueue, "stats" | "statsAge">;
  /** Whether a job of this queue runs in this container. */
  isBusy(): boolean;
  readonly limitMs?: number;
  readonly monotonicMs?: () => number;
}

export interface ReadQueue {
  /** Null when the queue did not answer. */
  readonly stats: readonly QueueStats[] | null;
  readonly ageSeconds: number;
}

/** One for each queue; what this container changes in it makes the last answer old. */
export function readQueues(queues: JobQueues, isBusy: () => boolean): ReadonlyMap<string, QueueReading> {
  const readings = new Map([...queues.byName].map(([name, queue]) => [name, new QueueReading({ queue, isBusy })]));
  queues.onChange((source) => readings.get(source)?.changed());
  return readings;
}

const anyQueue = { busySeconds: 2, restSeconds: 2 };
/** After a change made here, a queue that is paid by the call is queried again no sooner than this after the last answer. */
const changedSeconds = 5;
/** A queue that failed is queried again after this, however often somebody scrapes. */
const failedSeconds = 10;

export class QueueReading {
  readonly #queue: Pick<JobQueue, "stats" | "statsAge">;
  readonly #isBusy: () => boolean;
  readonly #limitMs: number;
  readonly #monotonicMs: () => number;
  #changed = false;
  #last: { readonly stats: readonly QueueStats[] | null; readonly atMs: number } | null = null;
  #request: { readonly answer: Promise<void>; readonly untilMs: number } | null = null;

  constructor({ queue, isBusy, limitMs = 2000, monotonicMs = () => performance.now() }: QueueReadingOptions) {
    this.#queue = queue;
    this.#isBusy = isBusy;
    this.#limitMs = limitMs;
    this.#monotonicMs = monotonicMs;
  }

  /** Never rejects. */
  async read(): Promise<ReadQueue> {
    if (this.#isOld()) {
      this.#request ??= { answer: this.#fetch(), untilMs: this.#monotonicMs() + this.#limitMs };
      // Who comes while somebody waits already waits no longer than that one.
      await within(Math.max(0, this.#request.untilMs - this.#monotonicMs()), this.#request.answer);
    }
    const late = this.#request !== null;
    const { stats, atMs } = this.#last ?? { stats: null, atMs: this.#monotonicMs() };
    return { stats: late ? null : stats, ageSeconds: (this.#monotonicMs() - atMs) / 1000 };
  }

  /** As `read`, but a queue that is not paid by the call is queried now. Never rejects. */
  readNow(): Promise<ReadQueue> {
    if (this.#queue.statsAge === undefined) this.#last = null;
    return this.read();
  }

  /** This container put a job on the queue, or took one off it: the last answer counts no more. */
  changed(): void {
    this.#changed = true;
  }

  async #fetch(): Promise<void> {
    this.#changed = false;
    const stats = await this.#queue.stats().catch(() => null);
    this.#last = { stats, atMs: this.#monotonicMs() };
    this.#request = null;
  }

  #isOld(): boolean {
    if (this.#last === null) return true;
    const { stats, atMs } = this.#last;
    return this.#monotonicMs() - atMs >= this.#maxAgeSeconds(stats) * 1000;
  }

  #maxAgeSeconds(stats: readonly QueueStats[] | null): number {
    if (stats === null) return failedSeconds;
    const { busySeconds, restSeconds } = this.#queue.statsAge ?? anyQueue;
    if (this.#changed) return this.#queue.statsAge === undefined ? 0 : Math.min(changedSeconds, busySeconds);
    const isEmpty = stats.every(({ queued, running }) => queued + running === 0);
    return isEmpty && !this.#isBusy() ? restSeconds : busySeconds;
  }
}
