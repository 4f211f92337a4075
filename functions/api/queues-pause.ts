import { z } from "zod";
import { declareRoute } from "./declare.ts";
import { queueErrors } from "./schemas/errors.ts";
import { queueParams, source } from "./schemas/parameters.ts";

/** POST /queues/:queue/pause: for every container, and over restarts; /worker/pause is for one. */
export const pauseQueue = declareRoute({
  method: "POST",
  path: "/queues/:queue/pause",
  access: "key",
  summary: "No container takes its jobs, until it is resumed",
  params: queueParams,
  query: z.strictObject({ source: source.optional() }),
  responses: {
    200: z.object({
      queue: z.string(),
      paused: z.literal(true),
      /** Sources that did not answer: there it is as it was. */
      unreachable: z.array(z.string()),
    }),
  },
  errors: ["NOT_FOUND", ...queueErrors],
});
