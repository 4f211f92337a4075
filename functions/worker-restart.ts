import { z } from "zod";
import { defineRoute } from "./http/route.ts";
import { iso } from "./jobs/job-view.ts";
import { findExecutor, requireRunning, workerParams } from "./worker/find-executor.ts";

/** Before a start was ever measured. */
const usualStartSeconds = 5;

/** POST /worker/restart/:worker: its job goes back to the queue, uncharged; its process is ended and begun anew. */
export const restartWorker = defineRoute({
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
}).handle(({ params }, runtime) => {
  const executor = findExecutor(runtime, params.worker);
  requireRunning(runtime);
  const estimate = executor.status.startSeconds ?? usualStartSeconds;
  runtime.restartExecutor(executor);
  return {
    status: 202,
    body: {
      status: "restarting",
      worker_id: executor.worker,
      restart_time: iso(Date.now()),
      estimated_startup_time: estimate,
    },
  };
});
