import { restartWorker } from "./api/worker-restart.ts";
import { defineRoute } from "./http/route.ts";
import { iso } from "./jobs/job-view.ts";
import { findExecutor, requireRunning } from "./worker/find-executor.ts";

/** Before a start was ever measured. */
const usualStartSeconds = 5;

export const restartWorkerRoute = defineRoute(restartWorker).handle(({ params }, runtime) => {
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
