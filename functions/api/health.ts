import { z } from "zod";
import { declareRoute } from "./declare.ts";
import { limitView } from "./schemas/worker-views.ts";

/*
 * Liveness. Everything here is in memory: the answer does not wait for a disk, a queue or the GPU.
 *
 *   degraded   there is a problem: the loop that takes jobs has died, the data folder is gone or its disk is full, a source
 *              does not answer or may lose jobs, an executor cannot start or has crashed and waits, results cannot be
 *              delivered, a model of MODELS cannot be fetched; or a job type, a model or a worker is not run at present, or the container is stopping
 *   starting   an executor is still loading, or a model is being fetched
 *   healthy    none of these
 *
 * The status of HTTP says whether to restart it: 503 once the loop that takes jobs has died, which nothing else mends.
 */
export const healthStatus = z.enum(["healthy", "starting", "degraded"]);
export type HealthStatus = z.output<typeof healthStatus>;

export const problemView = z.object({
  part: z.enum(["dispatcher", "source", "executor", "delivery", "data folder", "models"]),
  /** A source's, a worker's or a model's name. */
  subject: z.string().nullable(),
  code: z.string(),
  since: z.iso.datetime().nullable(),
  /** A sentence, without paths and addresses: anybody may ask. */
  summary: z.string(),
});

const healthView = z.object({
  status: healthStatus,
  /** Whether the chat executor holds a Qwen model. */
  qwen_loaded: z.boolean(),
  /** Whether an executor could take a job. */
  worker_ready: z.boolean(),
  timestamp: z.iso.datetime(),
  version: z.string(),
  /** Job types whose jobs run here now, when they name no model of their own. */
  capabilities: z.array(z.string()),
  endpoints: z.array(z.string()),
  /** Of handlers, without the queue: by other handlers, and over HTTP. */
  calls: z.object({ running: z.number().int(), waiting: z.number().int() }),
  /** What is wrong, and since when. */
  problems: z.array(problemView),
  /** What is not run at present. */
  limited: z.array(limitView),
});

export const health = declareRoute({
  method: "GET",
  path: "/health",
  access: "open",
  summary: "Whether the container is alive, and what it can do",
  responses: { 200: healthView, 503: healthView },
});
