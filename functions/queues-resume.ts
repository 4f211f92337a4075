import { resumeQueue } from "./api/queues-resume.ts";
import { defineRoute } from "./http/route.ts";
import { workerOfAnyQueue } from "./queues/find-queue.ts";

export const resumeQueueRoute = defineRoute(resumeQueue).handle(
  async ({ params: { queue }, query: { source }, audit }, runtime) => {
    const worker = await workerOfAnyQueue(runtime, queue);
    const { unreachable } = await runtime.queue.setPaused(worker, false, source);
    audit("queue resumed", { queue, unreachable });
    return { status: 200, body: { queue, paused: false, unreachable } };
  },
);
