import { z } from "zod";
import { wholeNumberFrom } from "#contract/fields.ts";
import { declareRoute } from "./declare.ts";
import { queueErrors } from "./schemas/errors.ts";
import { jobView } from "./schemas/job-view.ts";
import { cursor, queueParams, source } from "./schemas/parameters.ts";

const undecodable = z.object({
  /** Names it, as long as it is there: `/queues/:queue/undecodable/discard` takes it. */
  id: z.string(),
  /** Why there is no job in it. */
  reason: z.string(),
  at: z.iso.datetime(),
  /** Its beginning, without secrets. */
  element: z.string(),
});

/** GET /queues/:queue/dead: jobs that failed for good, with why. */
export const deadLetters = declareRoute({
  method: "GET",
  path: "/queues/:queue/dead",
  access: "key",
  summary: "Dead letters of a queue: jobs that failed for good, with why, newest first",
  params: queueParams,
  query: z.strictObject({
    limit: wholeNumberFrom(1, 200).default(50),
    cursor: cursor.optional(),
    /** Only what this one has. */
    source: source.optional(),
  }),
  responses: {
    200: z.object({
      queue: z.string(),
      /** Can be redriven. */
      jobs: z.array(jobView),
      /** For the next page; null on the last. */
      cursor: z.string().nullable(),
      /** Elements of a queue in which there is no job, the newest first; with the first page only. */
      undecodable: z.array(undecodable),
    }),
  },
  errors: ["NOT_FOUND", ...queueErrors],
});
