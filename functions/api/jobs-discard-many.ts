import { z } from "zod";
import { declareRoute } from "./declare.ts";
import { queueErrors } from "./schemas/errors.ts";
import { changeOutcome, conditions, errorCode } from "./schemas/job-filter.ts";

/** POST /jobs/discard: ended jobs that a filter matches, in parts. */
export const discardJobs = declareRoute({
  method: "POST",
  path: "/jobs/discard",
  access: "key",
  summary: "Forget ended jobs that a filter matches",
  description:
    "Each call looks at up to `limit` jobs that match, for at most 20 seconds, and answers the `cursor` for the next one: " +
    "who stops calling has interrupted it. Jobs that have not ended are left, and those whose final callback is not with a container yet.",
  body: z.strictObject({
    /** `any`: whatever their end was. */
    status: z.enum(["failed", "completed", "cancelled", "any"]),
    /** Only failed ones with this error. */
    code: errorCode.optional(),
    /** Also deletes their files, and what was reported of them in the container's data folder. */
    files: z.boolean().optional(),
    ...conditions,
  }),
  responses: {
    200: z.object({
      discarded: z.number().int(),
      /** How many files went. */
      files: z.number().int(),
      ...changeOutcome,
    }),
  },
  errors: ["NOT_FOUND", ...queueErrors],
});
