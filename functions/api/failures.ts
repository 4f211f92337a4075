import { z } from "zod";
import { declareRoute } from "./declare.ts";
import { queueErrors } from "./schemas/errors.ts";
import { source } from "./schemas/parameters.ts";

const failureGroup = z.object({
  source: z.string(),
  queue: z.string(),
  /** Of the jobs' errors. */
  code: z.string(),
  /** `(other)`: types that have no group of their own; a filter may say that, too. */
  type: z.string(),
  jobs: z.number().int(),
  /** Those that can succeed when they are tried again. */
  retryable: z.number().int(),
  /** When a job last failed so. */
  last_at: z.iso.datetime(),
  /** An example: the newest job of the group; null when it has just gone. */
  newest: z.object({ job_id: z.string(), message: z.string() }).nullable(),
});

/** GET /failures: failed jobs in groups. */
export const listFailures = declareRoute({
  method: "GET",
  path: "/failures",
  access: "key",
  summary: "Failed jobs by queue, error code and type, with how many can be retried; the latest failure first",
  query: z.strictObject({
    /** Only of this queue. */
    queue: z.string().max(100).optional(),
    /** Only of this one. */
    source: source.optional(),
  }),
  responses: {
    200: z.object({
      groups: z.array(failureGroup),
      /** Sources that did not answer: their groups are missing here. */
      unreachable: z.array(z.string()),
    }),
  },
  errors: ["NOT_FOUND", ...queueErrors],
});

export type FailuresView = z.output<(typeof listFailures.responses)[200]>;
