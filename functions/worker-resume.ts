import { defineRoute } from "./http/route.ts";
import { dispatcherView, viewDispatcher } from "./worker/dispatcher-view.ts";
import { requireRunning } from "./worker/find-executor.ts";

/** POST /worker/resume: jobs are taken again. */
export const resumeWorker = defineRoute({
  method: "POST",
  path: "/worker/resume",
  access: "key",
  summary: "Go on taking jobs",
  responses: { 200: dispatcherView },
  errors: ["SHUTTING_DOWN"],
}).handle((_request, runtime) => {
  requireRunning(runtime);
  runtime.dispatcher.resume();
  return { status: 200, body: viewDispatcher(runtime.dispatcher) };
});
