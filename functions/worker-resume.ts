import { resumeWorker } from "./api/worker-resume.ts";
import { defineRoute } from "./http/route.ts";
import { viewDispatcher } from "./worker/dispatcher-view.ts";
import { requireRunning } from "./worker/find-executor.ts";

export const resumeWorkerRoute = defineRoute(resumeWorker).handle((_request, runtime) => {
  requireRunning(runtime);
  runtime.dispatcher.resume();
  return { status: 200, body: viewDispatcher(runtime.dispatcher) };
});
