import type { Executor } from "#runtime/executor/parent/executor.ts";
import { type QueueStats, queueName } from "#runtime/sources/job-source.ts";
import { type WorkerResourcesView, workerResources } from "./api/worker-resources.ts";
import { defineRoute } from "./http/route.ts";
import { readQueues } from "./queues/read-queues.ts";
import { memoryOf } from "./worker/executor-view.ts";
import { viewGpu } from "./worker/gpu-view.ts";

export const workerResourcesRoute = defineRoute(workerResources).handle(async (_request, runtime) => {
  const { executors } = runtime;
  const [gpus, read] = await Promise.all([runtime.gpu.read(), readQueues(runtime)]);
  const answered = read.flatMap(({ stats }) => (stats === null ? [] : [stats]));
  const queues = answered.length === 0 ? null : depths([...executors.keys()], answered.flat());
  const workers = await Promise.all([...executors.values()].map((executor) => viewWorker(executor, queues)));
  const [first] = gpus ?? [];
  return {
    status: 200,
    body: {
      gpu: first === undefined ? null : viewGpu(first),
      gpus: (gpus ?? []).map(viewGpu),
      workers: Object.fromEntries(workers),
      queues,
      queues_age: Math.max(0, ...read.map(({ ageSeconds }) => ageSeconds)),
    },
  };
});

/** Over all sources; also 0 for a queue of this container in which there is nothing. */
function depths(workers: readonly string[], stats: readonly QueueStats[]): Record<string, number> {
  const depths = Object.fromEntries(workers.map((name) => [queueName(name), 0]));
  for (const { queue, queued } of stats) depths[queue] = (depths[queue] ?? 0) + queued;
  return depths;
}

async function viewWorker({ status }: Executor, queues: Readonly<Record<string, number>> | null) {
  const view: WorkerResourcesView = {
    memory_allocated: await memoryOf(status),
    model_loaded: status.heldModels.length > 0,
    models: [...status.heldModels],
    queue_size: queues?.[queueName(status.worker)] ?? null,
  };
  return [status.worker, view] as const;
}
