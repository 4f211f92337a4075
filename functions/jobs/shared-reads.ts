import type { JobQueue, JobRecord } from "#runtime/sources/job-source.ts";

type Reads = Map<string, Promise<JobRecord | null>>;

const readsOf = new WeakMap<object, Reads>();

/**
 * The job's record, read once for all who ask in the same turn of the event loop. No event of this container comes in
 * between, so that each of them has a record as new as if it had read alone.
 */
export function readShared(queue: Pick<JobQueue, "get">, jobId: string): Promise<JobRecord | null> {
  const reads: Reads = readsOf.get(queue) ?? new Map();
  readsOf.set(queue, reads);
  const known = reads.get(jobId);
  if (known !== undefined) return known;
  const begun = queue.get(jobId);
  reads.set(jobId, begun);
  setImmediate(() => reads.delete(jobId));
  return begun;
}

/**
 * How long to be silent before the next read, between half of `maxMs` and all of it: all readers' waits end in the same
 * turns, and 500 readers of one job cost what one does.
 */
export function untilSharedTurn(maxMs: number, nowMs = performance.now()): number {
  const half = maxMs / 2;
  return 2 * half - (nowMs % half);
}
