import { z } from "zod";
import { healthOf, healthStatus } from "./health.ts";
import { defineRoute } from "./http/route.ts";
import { executorView, viewExecutor } from "./worker/executor-view.ts";

/** GET /worker/status: what each worker does, and how full the first GPU is. */
export const workerStatus = defineRoute({
  method: "GET",
  path: "/worker/status",
  access: "key",
  summary: "What each worker does, and how full the GPU is",
  responses: {
    200: z.object({
      status: healthStatus,
      /** Whether jobs are taken. */
      dispatcher: z.enum(["running", "paused", "stopped"]),
      /** By worker. */
      workers: z.record(z.string(), executorView),
      system: z.object({
        /** Bytes, of the first GPU; null without one. */
        gpu_memory_total: z.number().int().nullable(),
        gpu_memory_used: z.number().int().nullable(),
        /** Percent. */
        gpu_utilization: z.number().nullable(),
        active_jobs: z.number().int(),
      }),
    }),
  },
}).handle(async (_request, runtime) => {
  const [gpus, workers] = await Promise.all([
    runtime.gpu.read(),
    Promise.all([...runtime.executors.values()].map(({ status }) => viewExecutor(status, Date.now()))),
  ]);
  const gpu = gpus?.[0];
  const names = [...runtime.executors.keys()];
  return {
    status: 200,
    body: {
      status: healthOf(runtime),
      dispatcher: runtime.dispatcher.state,
      workers: Object.fromEntries(workers.map((worker, index) => [names[index] ?? "", worker])),
      system: {
        gpu_memory_total: gpu?.memoryTotalBytes ?? null,
        gpu_memory_used: gpu?.memoryUsedBytes ?? null,
        gpu_utilization: gpu?.utilizationPercent ?? null,
        active_jobs: runtime.dispatcher.activeJobs,
      },
    },
  };
});
