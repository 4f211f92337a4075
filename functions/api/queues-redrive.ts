import { z } from "zod";
import { wholeNumberFrom } from "#contract/fields.ts";
import { declareRoute } from "./declare.ts";
import { queueErrors } from "./schemas/errors.ts";
import { changeCursor, changeOutcome, errorCode } from "./schemas/job-filter.ts";
import { flag, queueParams, source } from "./schemas/parameters.ts";

/** POST /queues/:queue/redrive: dead letters of a queue that can succeed get new attempts. */
export const redriveQueue = declareRoute({
  method: "POST",
  path: "/queues/:queue/redrive",
  access: "key",
  summary: "Put the failed jobs of a queue back on it, but for those that would fail again",
  params: queueParams,
  query: z.strictObject({
    limit: wholeNumberFrom(1, 1000).default(1000),
    cursor: changeCursor.optional(),
    /** Only those of this group of failures. */
    code: errorCode.optional(),
    type: z.string().max(200).optional(),
    /** Only what this one has. */
    source: source.optional(),
    /** Also those that would fail again. */
    force: flag.default(false),
    /** Changes nothing, and counts. */
    dry_run: flag.default(false),
  }),
  responses: {
    202: z.object({
      queue: z.string(),
      redriven: z.number().int(),
      /** Jobs that depend on another one, which has not completed. */
      refused: z.number().int(),
      ...changeOutcome,
      /** Whether failed jobs are left that were not looked at: ask again, from the cursor. */
      more: z.boolean(),
    }),
  },
  errors: ["NOT_FOUND", ...queueErrors],
});
