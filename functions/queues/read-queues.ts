import type { Runtime } from "#runtime/container/runtime.ts";
import type { QueueReading } from "#runtime/observe/metrics/queue-reading.ts";
import type { QueueStats } from "#runtime/sources/job-source.ts";

/** What waits in the queues of one source. */
export interface SourceReading {
  readonly source: string;
  /** Null when it does not answer. */
  readonly stats: readonly QueueStats[] | null;
  /** How old that is. */
  readonly ageSeconds: number;
}

/** What waits, source by source; one that does not answer in time keeps nobody from the others. */
export function readQueues(
  { queueReadings }: Pick<Runtime, "queueReadings">,
  read: (reading: QueueReading) => ReturnType<QueueReading["read"]> = (reading) => reading.read(),
): Promise<SourceReading[]> {
  return Promise.all([...queueReadings].map(async ([source, reading]) => ({ source, ...(await read(reading)) })));
}
