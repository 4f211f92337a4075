import { z } from "zod";
import { wholeNumberFrom } from "#contract/fields.ts";
import { declareRoute } from "./declare.ts";
import { queueErrors } from "./schemas/errors.ts";
import { queueParams } from "./schemas/parameters.ts";

/** POST /queues/:queue/redrive: every dead letter of a queue gets new attempts. */
export const redriveQueue = declareRoute({
  method: "POST",
  path: "/queues/:queue/redrive",
  access: "key",
  summary: "Put the failed jobs of a queue back on it, the newest first",
  params: queueParams,
  query: z.strictObject({ limit: wholeNumberFrom(1, 1000).default(1000) }),
  responses: {
    202: z.object({
      queue: z.string(),
      redriven: z.number().int(),
      /** Jobs that depend on another one, which has not completed. */
      refused: z.number().int(),
      /** Whether failed jobs are left that were not looked at: ask again. */
      more: z.boolean(),
    }),
  },
  errors: ["NOT_FOUND", ...queueErrors],
});
