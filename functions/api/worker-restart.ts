import { z } from "zod";
import { declareRoute } from "./declare.ts";
import { workerParams } from "./schemas/parameters.ts";

/** POST /worker/restart/:worker: its job goes back to the queue, uncharged; its process is ended and begun anew. */
export const restartWorker = declareRoute({
  method: "POST",
  path: "/worker/restart/:worker",
  access: "key",
  summary: "Start a worker's process anew; its job goes back to the queue, uncharged",
  params: workerParams,
  responses: {
    202: z.object({
      status: z.literal("restarting"),
      worker_id: z.string(),
      restart_time: z.iso.datetime(),
      /** Seconds, as its last start took. */
      estimated_startup_time: z.number(),
    }),
  },
  errors: ["NOT_FOUND", "SHUTTING_DOWN"],
});
