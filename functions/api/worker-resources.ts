import { z } from "zod";
import { declareRoute } from "./declare.ts";
import { gpuView } from "./schemas/worker-views.ts";

const workerView = z.object({
  /** Resident bytes of its process. */
  memory_allocated: z.number().int().nullable(),
  model_loaded: z.boolean(),
  models: z.array(z.string()),
  /** Jobs that are due in its queue; null when the source does not answer. */
  queue_size: z.number().int().nullable(),
});

export type WorkerResourcesView = z.output<typeof workerView>;

/** GET /worker/resources: what is used. Answers at once: what comes from elsewhere is some seconds old. */
export const workerResources = declareRoute({
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
      workers: z.record(z.string(), workerView),
      /** Jobs that are due, by queue; null when the source does not answer. */
      queues: z.record(z.string(), z.number().int()).nullable(),
      /** How old the numbers of the queues are, in seconds. */
      queues_age: z.number(),
    }),
  },
});
