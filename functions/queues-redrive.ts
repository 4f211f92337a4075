import { redriveAll } from "#runtime/sources/redrive-all.ts";
import { redriveQueue } from "./api/queues-redrive.ts";
import { defineRoute } from "./http/route.ts";
import { workerOfQueue } from "./queues/find-queue.ts";

/** What one request may take; who wants more asks again. */
const limitMs = 20_000;

export const redriveQueueRoute = defineRoute(redriveQueue).handle(
  async ({ params: { queue }, query: { limit } }, runtime) => {
    const worker = await workerOfQueue(runtime, queue);
    const outcome = await redriveAll(runtime.queue, { worker, limit, signal: AbortSignal.timeout(limitMs) });
    return { status: 202, body: { queue, ...outcome } };
  },
);
