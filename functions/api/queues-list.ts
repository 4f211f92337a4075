import { z } from "zod";
import { declareRoute } from "./declare.ts";
import { queueErrors } from "./schemas/errors.ts";
import { unofferedNeed } from "./schemas/job-view.ts";

const queueView = z.object({
  source: z.string(),
  queue: z.string(),
  queued: z.number(),
  delayed: z.number(),
  running: z.number(),
  failed: z.number(),
  oldest_queued_seconds: z.number().nullable(),
  /** Since when no container takes its jobs; null when they do. */
  paused_since: z.iso.datetime().nullable(),
  /** Jobs that are due and that no container can run now, by what they need. */
  unoffered: z.array(unofferedNeed.extend({ jobs: z.number(), oldest_seconds: z.number() })),
  /** Whether its worker runs in this container; of others, this one does not know. */
  runs_here: z.boolean(),
});

const usageView = z.object({
  commands: z.number(),
  commands_by_operation: z.record(z.string(), z.number()),
  commands_per_hour: z.number(),
  estimated_dollars_per_month: z.number().nullable(),
});

const sourceView = z.object({
  source: z.string(),
  /** False when it does not answer: its queues are not in the list. */
  readable: z.boolean(),
  /** How old its numbers are, in seconds: a queue that is paid by the call is not queried at each request. */
  age: z.number(),
  /** What asking it has cost so far; null when it costs nothing. */
  usage: usageView.nullable(),
});

export type QueueView = z.output<typeof queueView>;
export type SourceView = z.output<typeof sourceView>;

/** GET /queues: how much waits, runs and failed in each queue, and what asking a paid queue has cost so far. */
export const listQueues = declareRoute({
  method: "GET",
  path: "/queues",
  access: "key",
  summary: "Depth and age of every queue, and the cost of a paid one",
  responses: {
    200: z.object({
      /** The source that takes what is posted to `/jobs`. */
      source: z.string(),
      /** Also the empty ones of job types that this container knows. */
      queues: z.array(queueView),
      /** Of the oldest of these numbers, in seconds. */
      age: z.number(),
      /** Of the first source that is paid by the call; null when none is. */
      usage: usageView.nullable(),
      sources: z.array(sourceView),
    }),
  },
  errors: queueErrors,
});
