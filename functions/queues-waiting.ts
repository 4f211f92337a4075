import { waitingJobs } from "./api/queues-waiting.ts";
import { defineRoute } from "./http/route.ts";
import { viewJob } from "./jobs/job-view.ts";
import { workerOfAnyQueue } from "./queues/find-queue.ts";

export const waitingJobsRoute = defineRoute(waitingJobs).handle(
  async ({ params: { queue }, query: { source, limit }, base }, runtime) => {
    const worker = await workerOfAnyQueue(runtime, queue);
    const waiting = await runtime.queue.waiting(worker, limit, source);
    const jobs = await Promise.all(waiting.records.map((record) => viewJob(record, runtime, base)));
    return { status: 200, body: { queue, source: waiting.source, jobs } };
  },
);
