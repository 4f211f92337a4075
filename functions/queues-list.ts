import { z } from "zod";
import type { Runtime } from "#runtime/container/runtime.ts";
import type { QueueStats } from "#runtime/sources/job-source.ts";
import { HttpError, queueErrors } from "./errors.ts";
import { defineRoute } from "./http/route.ts";

const queue = z.object({
  queue: z.string(),
  queued: z.number(),
  delayed: z.number(),
  running: z.number(),
  failed: z.number(),
  oldest_queued_seconds: z.number().nullable(),
});

const usage = z.object({
  commands: z.number(),
  commands_by_operation: z.record(z.string(), z.number()),
  commands_per_hour: z.number(),
  estimated_dollars_per_month: z.number().nullable(),
});

/** GET /queues: how much waits, runs and failed in each queue, and what asking a paid queue has cost so far. */
export const listQueues = defineRoute({
  method: "GET",
  path: "/queues",
  access: "key",
  summary: "Depth and age of every queue, and the cost of a paid one",
  responses: {
    200: z.object({
      source: z.string(),
      queues: z.array(queue),
      /** How old the numbers are, in seconds: a queue that is paid by the call is not asked at each request. */
      age: z.number(),
      usage: usage.nullable(),
    }),
  },
  errors: queueErrors,
}).handle(async (_request, runtime) => {
  const { config, sources } = runtime;
  const { stats, ageSeconds } = await readStats(runtime);
  const cost = sources.upstash?.usage();
  return {
    status: 200,
    body: {
      source: config.sources[0] ?? "sqlite",
      queues: stats.map(({ oldestQueuedSeconds, ...counts }) => ({
        ...counts,
        oldest_queued_seconds: oldestQueuedSeconds,
      })),
      age: ageSeconds,
      usage:
        cost === undefined
          ? null
          : {
              commands: cost.commands,
              commands_by_operation: cost.commandsByOperation,
              commands_per_hour: cost.commandsPerHour,
              estimated_dollars_per_month: cost.estimatedDollarsPerMonth,
            },
    },
  };
});

/** @throws what the source throws, QUEUE_UNREACHABLE when it does not answer in time */
async function readStats({ queue: jobs, queueReadings, config }: Runtime): Promise<{
  readonly stats: readonly QueueStats[];
  readonly ageSeconds: number;
}> {
  const reading = jobs.statsAge === undefined ? undefined : queueReadings.get(config.sources[0] ?? "sqlite");
  if (reading === undefined) return { stats: await jobs.stats(), ageSeconds: 0 };
  const { stats, ageSeconds } = await reading.read();
  if (stats === null) throw new HttpError("QUEUE_UNREACHABLE", "The queue does not answer: try again later.");
  return { stats, ageSeconds };
}
