import type { JobQueues } from "#runtime/sources/job-queues.ts";
import { queueName } from "#runtime/sources/job-source.ts";

/*
 * How much waits and runs behind an endpoint, as its queue counts it: one call, however many jobs there are. It is what a job that
 * is submitted now has before it, so that jobs of the same queue count that did not come through the endpoint.
 */
export interface QueueLoad {
  readonly inQueue: number;
  readonly inProgress: number;
}

/** @param worker whose queue it is; undefined: any */
export async function loadOf(queue: Pick<JobQueues, "byName">, worker: string | undefined): Promise<QueueLoad> {
  const stats = await Promise.all([...queue.byName.values()].map((each) => each.stats()));
  const own = stats.flat().filter(({ queue: name }) => worker === undefined || name === queueName(worker));
  return {
    inQueue: own.reduce((sum, { queued, delayed }) => sum + queued + delayed, 0),
    inProgress: own.reduce((sum, { running }) => sum + running, 0),
  };
}

/** Ended jobs are counted one by one: no more often than that, however often they are wanted. */
const keptMs = 5000;

export interface EndedCounts {
  readonly completed: number;
  readonly failed: number;
}

export class EndedReadings {
  readonly #nowMs: () => number;
  readonly #readings = new Map<string, { readonly atMs: number; readonly counts: Promise<EndedCounts> }>();

  /** @param nowMs a clock that is never set */
  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  of(endpoint: string, read: () => Promise<EndedCounts>): Promise<EndedCounts> {
    const nowMs = this.#nowMs();
    for (const [name, { atMs }] of this.#readings) if (nowMs - atMs >= keptMs) this.#readings.delete(name);
    const known = this.#readings.get(endpoint);
    if (known !== undefined) return known.counts;
    const counts = read();
    this.#readings.set(endpoint, { atMs: nowMs, counts });
    counts.catch(() => this.#readings.delete(endpoint));
    return counts;
  }
}
