import { pauseQueue } from "./api/queues-pause.ts";
import { defineRoute } from "./http/route.ts";
import { workerOfAnyQueue } from "./queues/find-queue.ts";

export const pauseQueueRoute = defineRoute(pauseQueue).handle(
  async ({ params: { queue }, query: { source }, audit }, runtime) => {
    const worker = await workerOfAnyQueue(runtime, queue);
    const { unreachable } = await runtime.queue.setPaused(worker, true, source);
    audit("queue paused", { queue, unreachable });
    return { status: 200, body: { queue, paused: true, unreachable } };
  },
);
