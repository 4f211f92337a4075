import { z } from "zod";
import { declareRoute } from "./declare.ts";
import { queueErrors } from "./schemas/errors.ts";
import { changeOutcome, conditions } from "./schemas/job-filter.ts";

/** POST /jobs/cancel: jobs that have not ended and that a filter matches, in parts. */
export const cancelJobs = declareRoute({
  method: "POST",
  path: "/jobs/cancel",
  access: "key",
  summary: "Cancel the jobs that a filter matches, queued or running",
  description:
    "Each call looks at up to `limit` jobs that match, for at most 20 seconds, and answers the `cursor` for the next one: " +
    "who stops calling has interrupted it.",
  body: z.strictObject({
    /** `any`: both. */
    status: z.enum(["queued", "running", "any"]),
    ...conditions,
  }),
  responses: {
    200: z.object({
      /** They waited, and never run. */
      cancelled: z.number().int(),
      /** They run, and end within a step. */
      requested: z.number().int(),
      ...changeOutcome,
    }),
  },
  errors: ["NOT_FOUND", ...queueErrors],
});
