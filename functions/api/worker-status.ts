import { z } from "zod";
import { declareRoute } from "./declare.ts";
import { healthStatus, problemView } from "./health.ts";
import { callsView, conditionView, executorView, offerView, quarantineView } from "./schemas/worker-views.ts";

/** GET /worker/status: what each worker does, and how full the first GPU is. */
export const workerStatus = declareRoute({
  method: "GET",
  path: "/worker/status",
  access: "key",
  summary: "What each worker does, and how full the GPU is",
  responses: {
    200: z.object({
      status: healthStatus,
      /** Whether jobs are taken. */
      dispatcher: z.enum(["starting", "running", "paused", "stopped"]),
      /** By worker. */
      workers: z.record(z.string(), executorView.extend({ calls: callsView, offer: offerView })),
      /** What is wrong, with what to do. */
      problems: z.array(problemView.extend({ message: z.string() })),
      /** What keeps this container from running everything that it has handlers for. */
      conditions: z.array(conditionView),
      /** Whose jobs of which type let others' go first, since they kill their executor or fail one after the other. */
      quarantine: z.array(quarantineView),
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
});
