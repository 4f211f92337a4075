import { pauseWorker } from "./api/worker-pause.ts";
import { defineRoute } from "./http/route.ts";
import { viewDispatcher } from "./worker/dispatcher-view.ts";
import { requireRunning } from "./worker/find-executor.ts";

export const pauseWorkerRoute = defineRoute(pauseWorker).handle((_request, runtime) => {
  requireRunning(runtime);
  runtime.dispatcher.pause();
  return { status: 200, body: viewDispatcher(runtime.dispatcher) };
});
