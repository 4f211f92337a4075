import { z } from "zod";
import { wholeNumberFrom } from "#contract/fields.ts";
import { jobStatuses } from "#contract/job-states.ts";
import { declareRoute } from "./declare.ts";
import { queueErrors } from "./schemas/errors.ts";
import { jobView } from "./schemas/job-view.ts";
import { cursor, notEmpty, source } from "./schemas/parameters.ts";

// Strict: a misspelt filter that is ignored would list what was not requested.
const filter = z.strictObject({
  status: z.enum(jobStatuses).optional(),
  type: z.string().min(1, notEmpty).max(200).optional(),
  user_id: z.string().min(1, notEmpty).max(200).optional(),
  limit: wholeNumberFrom(1, 200).default(50),
  cursor: cursor.optional(),
  /** Only of this one. */
  source: source.optional(),
});

export const listJobs = declareRoute({
  method: "GET",
  path: "/jobs",
  access: "key",
  summary: "Jobs, newest first",
  query: filter,
  responses: {
    200: z.object({
      jobs: z.array(jobView),
      /** For the next page; null on the last. */
      cursor: z.string().nullable(),
      /** Sources that did not answer: their jobs are missing here, and come with a later page. */
      unreachable: z.array(z.string()),
    }),
  },
  errors: queueErrors,
});
