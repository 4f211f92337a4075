import { z } from "zod";
import type { Runtime } from "#runtime/container/runtime.ts";
import { emptyQueue } from "#runtime/observe/metrics/readings.ts";
import { type QueueStats, queueName } from "#runtime/sources/job-source.ts";
import type { SourceUsage } from "#runtime/sources/source-definition.ts";
import { HttpError, queueErrors } from "./errors.ts";
import { defineRoute } from "./http/route.ts";
import { readQueues } from "./queues/read-queues.ts";

const queue = z.object({
  source: z.string(),
  queue: z.string(),
  queued: z.number(),
  delayed: z.number(),
  running: z.number(),
  failed: z.number(),
  oldest_queued_seconds: z.number().nullable(),
  /** Jobs that are due and that no container can run now, by what they need. */
  unoffered: z.array(
    z.object({ type: z.string(), model: z.string().nullable(), jobs: z.number(), oldest_seconds: z.number() }),
  ),
  /** Whether its worker runs in this container; of others, this one does not know. */
  runs_here: z.boolean(),
});

const usage = z.object({
  commands: z.number(),
  commands_by_operation: z.record(z.string(), z.number()),
  commands_per_hour: z.number(),
  estimated_dollars_per_month: z.number().nullable(),
});

const source = z.object({
  source: z.string(),
  /** False when it does not answer: its queues are not in the list. */
  readable: z.boolean(),
  /** How old its numbers are, in seconds: a queue that is paid by the call is not asked at each request. */
  age: z.number(),
  /** What asking it has cost so far; null when it costs nothing. */
  usage: usage.nullable(),
});

/** GET /queues: how much waits, runs and failed in each queue, and what asking a paid queue has cost so far. */
export const listQueues = defineRoute({
  method: "GET",
  path: "/queues",
  access: "key",
  summary: "Depth and age of every queue, and the cost of a paid one",
  responses: {
    200: z.object({
      /** The source that takes what is posted to `/jobs`. */
      source: z.string(),
      /** Also the empty ones of job types that this container knows. */
      queues: z.array(queue),
      /** Of the oldest of these numbers, in seconds. */
      age: z.number(),
      /** Of the first source that is paid by the call; null when none is. */
      usage: usage.nullable(),
      sources: z.array(source),
    }),
  },
  errors: queueErrors,
}).handle(async (_request, runtime) => {
  const read = await readQueues(runtime, (reading) => reading.readNow());
  if (read.length > 0 && read.every(({ stats }) => stats === null))
    throw new HttpError("QUEUE_UNREACHABLE", "The queue does not answer: try again later.");
  const readings = new Map(read.map(({ source: name, ...rest }) => [name, rest]));
  const sources = [...runtime.sources].map(([name, { paid }]): z.output<typeof source> => {
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
    ({ oldestQueuedSeconds, unoffered, ...counts }): z.output<typeof queue> => ({
      source: name,
      ...counts,
      oldest_queued_seconds: oldestQueuedSeconds,
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
