import type { Runtime } from "#runtime/container/runtime.ts";
import { emptyQueue } from "#runtime/observe/metrics/readings.ts";
import { type QueueStats, queueName } from "#runtime/sources/job-source.ts";
import type { SourceUsage } from "#runtime/sources/source-definition.ts";
import { listQueues, type QueueView, type SourceView } from "./api/queues-list.ts";
import { HttpError } from "./errors.ts";
import { defineRoute } from "./http/route.ts";
import { iso } from "./jobs/job-view.ts";
import { readQueues } from "./queues/read-queues.ts";

export const listQueuesRoute = defineRoute(listQueues).handle(async (_request, runtime) => {
  const read = await readQueues(runtime, (reading) => reading.readNow());
  if (read.length > 0 && read.every(({ stats }) => stats === null))
    throw new HttpError("QUEUE_UNREACHABLE", "The queue does not answer: try again later.");
  const readings = new Map(read.map(({ source: name, ...rest }) => [name, rest]));
  const sources = [...runtime.sources].map(([name, { paid }]): SourceView => {
    const { stats = null, ageSeconds = 0 } = readings.get(name) ?? {};
    return {
      source: name,
      readable: stats !== null,
      age: ageSeconds,
      usage: paid === undefined ? null : viewUsage(paid.usage()),
    };
  });
  return {
    status: 200,
    body: {
      source: read[0]?.source ?? runtime.config.sources[0]?.name ?? "",
      queues: read.flatMap(({ source: name, stats }) => (stats === null ? [] : viewQueues(name, stats, runtime))),
      age: Math.max(0, ...sources.map(({ age }) => age)),
      usage: sources.find((each) => each.usage !== null)?.usage ?? null,
      sources,
    },
  };
});

function viewQueues(name: string, stats: readonly QueueStats[], { registry, executors }: Runtime) {
  const here = new Set([...executors.keys()].map(queueName));
  const known = [...registry.workers, ...executors.keys()].map(emptyQueue);
  const byName = new Map([...known, ...stats].map((each) => [each.queue, each]));
  return [...byName.values()].map(
    ({ oldestQueuedSeconds, pausedSinceMs, unoffered, ...counts }): QueueView => ({
      source: name,
      ...counts,
      oldest_queued_seconds: oldestQueuedSeconds,
      paused_since: pausedSinceMs === null ? null : iso(pausedSinceMs),
      unoffered: unoffered.map(({ oldestSeconds, ...need }) => ({ ...need, oldest_seconds: oldestSeconds })),
      runs_here: here.has(counts.queue),
    }),
  );
}

function viewUsage({ commands, commandsByOperation, commandsPerHour, estimatedDollarsPerMonth }: SourceUsage) {
  return {
    commands,
    commands_by_operation: { ...commandsByOperation },
    commands_per_hour: commandsPerHour,
    estimated_dollars_per_month: estimatedDollarsPerMonth,
  };
}
