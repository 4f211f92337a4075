import { endpointOfWorker } from "#runtime/endpoints/endpoint-job.ts";
import { exitCodes } from "../errors.ts";
import { note, printResult } from "../output.ts";
import { type OpenQueue, type QueueChoice, withExistingQueue } from "../queue.ts";
import { remoteClient } from "../remote/remote-client.ts";
import { type GlobalOptions, readSettings } from "../settings.ts";
import { table } from "../table.ts";
import { needText, unservedText } from "./view.ts";

interface ShownQueue {
  readonly source: string;
  readonly queue: string;
  readonly queued: number;
  readonly delayed: number;
  readonly running: number;
  readonly failed: number;
  readonly oldest_queued_seconds: number | null;
  readonly paused_since: string | null;
  /** Due jobs that no container can run now. */
  readonly unoffered: readonly {
    readonly type: string;
    readonly model: string | null;
    readonly served?: boolean | undefined;
    readonly jobs: number;
    readonly oldest_seconds: number;
  }[];
}

/** The body of `ourvidz queues`. */
export async function listQueues(options: GlobalOptions & QueueChoice): Promise<number> {
  const queues = await readQueues(options);
  printResult(options, { queues }, queueTable(queues));
  if (!options.json && queues.length === 0) note("There are no jobs in any queue.");
  if (!options.json)
    for (const { queue, unoffered, paused_since: since } of queues) {
      if (since !== null) note(`${queue} is paused since ${since}: ourvidz resume ${queue}`);
      for (const need of unoffered) note(waitingText(queue, need));
    }
  return exitCodes.completed;
}

async function readQueues(options: GlobalOptions & QueueChoice): Promise<readonly ShownQueue[]> {
  const client = await remoteClient(options);
  if (client !== null) return (await client.queues()).queues;
  const config = await readSettings(options, { serves: false });
  const readAll = async ({ queue: { byName } }: OpenQueue): Promise<readonly ShownQueue[]> => {
    const read = await Promise.all(
      [...byName].map(async ([source, queue]) => ({ source, stats: await queue.stats() })),
    );
    return read.flatMap(({ source, stats }) =>
      stats.map(({ queue, queued, delayed, running, failed, oldestQueuedSeconds, pausedSinceMs, unoffered }) => ({
        source,
        queue,
        queued,
        delayed,
        running,
        failed,
        oldest_queued_seconds: oldestQueuedSeconds,
        paused_since: pausedSinceMs === null ? null : new Date(pausedSinceMs).toISOString(),
        unoffered: unoffered.map(({ oldestSeconds, ...need }) => ({ ...need, oldest_seconds: oldestSeconds })),
      })),
    );
  };
  return withExistingQueue(config, options, readAll, []);
}

export function waitingText(
  queue: string,
  { type, model, served, jobs, oldest_seconds: age }: ShownQueue["unoffered"][number],
): string {
  const waiting = jobs === 1 ? "1 job waits" : `${jobs} jobs wait`;
  const worker = queue.replace(/_queue$/, "");
  const lack = served === false ? unservedText(worker) : "no container offers it";
  // Of an endpoint's jobs, the type and the model are in the input, which its container alone reads.
  const need = endpointOfWorker(worker) === null ? ` for ${needText({ type, model })}` : "";
  return `${waiting} in ${queue}${need}: ${lack} (for ${Math.round(age)} s).`;
}

function queueTable(queues: readonly ShownQueue[]): string {
  const hasSeveral = new Set(queues.map(({ source }) => source)).size > 1;
  return table(queues, [
    ...(hasSeveral ? [{ title: "SOURCE", value: ({ source }: ShownQueue) => source }] : []),
    { title: "QUEUE", value: ({ queue }) => queue },
    { title: "QUEUED", value: ({ queued }) => String(queued) },
    { title: "DELAYED", value: ({ delayed }) => String(delayed) },
    { title: "RUNNING", value: ({ running }) => String(running) },
    { title: "FAILED", value: ({ failed }) => String(failed) },
    { title: "OLDEST", value: ({ oldest_queued_seconds: age }) => (age === null ? "-" : `${Math.round(age)} s`) },
  ]);
}
