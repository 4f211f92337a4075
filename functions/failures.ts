import { queueName } from "#runtime/sources/job-source.ts";
import { readFailures } from "#runtime/sources/read-failures.ts";
import { listFailures } from "./api/failures.ts";
import { defineRoute } from "./http/route.ts";
import { viewFailures } from "./queues/failure-view.ts";
import { workerOfQueue } from "./queues/find-queue.ts";

export const listFailuresRoute = defineRoute(listFailures).handle(async ({ query: { queue, source } }, runtime) => {
  const worker = queue === undefined ? undefined : await workerOfQueue(runtime, queue);
  const failures = await readFailures(runtime.queue, source);
  return { status: 200, body: viewFailures(failures, worker === undefined ? undefined : queueName(worker)) };
});
