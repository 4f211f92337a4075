import { z } from "zod";
import type { Executor } from "#runtime/executor/parent/executor.ts";
import { type QueueStats, queueName } from "#runtime/sources/job-source.ts";
import { defineRoute } from "./http/route.ts";
import { readQueues } from "./queues/read-queues.ts";
import { memoryOf } from "./worker/executor-view.ts";
import { gpuView, viewGpu } from "./worker/gpu-view.ts";

const worker = z.object({
  /** Resident bytes of its process. */
  memory_allocated: z.number().int().nullable(),
  model_loaded: z.boolean(),
  models: z.array(z.string()),
  /** Jobs that are due in its queue; null when the source does not answer. */
  queue_size: z.number().int().nullable(),
});

/** GET /worker/resources: what is used. Answers at once: what must be asked elsewhere is some seconds old. */
export const workerResources = defineRoute({
  method: "GET",
  path: "/worker/resources",
  access: "key",
  summary: "GPU, memory and models of each worker, and what waits",
  responses: {
    200: z.object({
      /** The first GPU; null without one. */
      gpu: gpuView.nullable(),
      gpus: z.array(gpuView),
      /** By worker. */
      workers: z.record(z.string(), worker),
      /** Jobs that are due, by queue; null when the source does not answer. */
      queues: z.record(z.string(), z.number().int()).nullable(),
      /** How old the numbers of the queues are, in seconds. */
      queues_age: z.number(),
    }),
  },
}).handle(async (_request, runtime) => {
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
  const view: z.output<typeof worker> = {
    memory_allocated: await memoryOf(status),
    model_loaded: status.heldModels.length > 0,
    models: [...status.heldModels],
    queue_size: queues?.[queueName(status.worker)] ?? null,
  };
  return [status.worker, view] as const;
}
