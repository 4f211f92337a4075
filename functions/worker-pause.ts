import { defineRoute } from "./http/route.ts";
import { dispatcherView, viewDispatcher } from "./worker/dispatcher-view.ts";
import { requireRunning } from "./worker/find-executor.ts";

/** POST /worker/pause: no more jobs are taken; those that run go on. A restart of the container forgets it. */
export const pauseWorker = defineRoute({
  method: "POST",
  path: "/worker/pause",
  access: "key",
  summary: "Stop taking jobs; those that run go on",
  responses: { 200: dispatcherView },
  errors: ["SHUTTING_DOWN"],
}).handle((_request, runtime) => {
  requireRunning(runtime);
  runtime.dispatcher.pause();
  return { status: 200, body: viewDispatcher(runtime.dispatcher) };
});
