import { z } from "zod";
import { declareRoute } from "./declare.ts";
import { queueErrors } from "./schemas/errors.ts";
import { queueParams } from "./schemas/parameters.ts";

/** POST /queues/:queue/undecodable/discard */
export const discardUndecodable = declareRoute({
  method: "POST",
  path: "/queues/:queue/undecodable/discard",
  access: "key",
  summary: "Forget elements of a queue in which there is no job: one of them, or all",
  params: queueParams,
  description: "Which is required: `id`, or `all=true`.",
  query: z.strictObject({
    /** As GET /undecodable names it. */
    id: z.string().min(1).max(100).optional(),
    all: z.literal("true", 'must be "true"').optional(),
  }),
  responses: {
    200: z.object({
      queue: z.string(),
      discarded: z.number().int(),
      /** The time of one request is over, and some may be left: ask again. */
      more: z.boolean(),
    }),
  },
  errors: ["NOT_FOUND", "INVALID_REQUEST", ...queueErrors],
});
