import { z } from "zod";
import { declareRoute } from "./declare.ts";
import { queueErrors } from "./schemas/errors.ts";
import { queueParams, source } from "./schemas/parameters.ts";

/** POST /queues/:queue/resume: for every container, and over restarts; /worker/resume is for one. */
export const resumeQueue = declareRoute({
  method: "POST",
  path: "/queues/:queue/resume",
  access: "key",
  summary: "Its jobs are taken again",
  params: queueParams,
  query: z.strictObject({ source: source.optional() }),
  responses: {
    200: z.object({
      queue: z.string(),
      paused: z.literal(false),
      /** Sources that did not answer: there it is as it was. */
      unreachable: z.array(z.string()),
    }),
  },
  errors: ["NOT_FOUND", ...queueErrors],
});
