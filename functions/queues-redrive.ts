import { z } from "zod";
import { wholeNumberFrom } from "#contract/fields.ts";
import { redriveAll } from "#runtime/sources/redrive-all.ts";
import { queueErrors } from "./errors.ts";
import { defineRoute } from "./http/route.ts";
import { queueParams, workerOfQueue } from "./queues/find-queue.ts";

/** What one request may take; who wants more asks again. */
const limitMs = 20_000;

/** POST /queues/:queue/redrive: every dead letter of a queue gets new attempts. */
export const redriveQueue = defineRoute({
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
}).handle(async ({ params: { queue }, query: { limit } }, runtime) => {
  const worker = await workerOfQueue(runtime, queue);
  const outcome = await redriveAll(runtime.queue, { worker, limit, signal: AbortSignal.timeout(limitMs) });
  return { status: 202, body: { queue, ...outcome } };
});
