import { readFailures } from "#runtime/sources/read-failures.ts";
import { listFailures } from "./api/failures.ts";
import { defineRoute } from "./http/route.ts";
import { workerOfQueue } from "./queues/find-queue.ts";

export const listFailuresRoute = defineRoute(listFailures).handle(async ({ query: { queue, source } }, runtime) => {
  const worker = queue === undefined ? undefined : await workerOfQueue(runtime, queue);
  const { groups, unreachable } = await readFailures(runtime.queue, source);
  return {
    status: 200,
    body: {
      groups: groups
        .filter((group) => worker === undefined || group.worker === worker)
        .map(({ worker: _, permanent, lastAtMs, newest, ...group }) => ({
          ...group,
          retryable: group.jobs - permanent,
          last_at: new Date(lastAtMs).toISOString(),
          newest: newest === null ? null : { job_id: newest.jobId, message: newest.message },
        })),
      unreachable: [...unreachable],
    },
  };
});
