import { z } from "zod";
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
  responses: { 200: z.object({ source: z.string(), queues: z.array(queue), usage: usage.nullable() }) },
}).handle(async (_request, { queue: jobs, config, sources: { upstash } }) => {
  const cost = upstash?.usage();
  return {
    status: 200,
    body: {
      source: config.sources[0] ?? "sqlite",
      queues: (await jobs.stats()).map(({ oldestQueuedSeconds, ...counts }) => ({
        ...counts,
        oldest_queued_seconds: oldestQueuedSeconds,
      })),
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
