import { z } from "zod";
import { wholeNumberFrom } from "#contract/fields.ts";
import { declareRoute } from "./declare.ts";
import { queueErrors } from "./schemas/errors.ts";
import { jobView } from "./schemas/job-view.ts";
import { queueParams, source } from "./schemas/parameters.ts";

/** GET /queues/:queue/waiting: what goes next. */
export const waitingJobs = declareRoute({
  method: "GET",
  path: "/queues/:queue/waiting",
  access: "key",
  summary: "The jobs of a queue that are due, in the order in which they go",
  params: queueParams,
  query: z.strictObject({
    /** One source's; by default the first's. */
    source: source.optional(),
    limit: wholeNumberFrom(1, 200).default(50),
  }),
  responses: {
    200: z.object({
      queue: z.string(),
      source: z.string(),
      /** Each with its `queue_position`. Together at most 1 MB: then there are fewer. */
      jobs: z.array(jobView),
    }),
  },
  errors: ["NOT_FOUND", ...queueErrors],
});
