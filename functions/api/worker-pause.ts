import { declareRoute } from "./declare.ts";
import { dispatcherView } from "./schemas/worker-views.ts";

/** POST /worker/pause: no more jobs are taken; running ones go on, ends are reported. A restart of the container forgets it. */
export const pauseWorker = declareRoute({
  method: "POST",
  path: "/worker/pause",
  access: "key",
  summary: "Stop taking jobs; those that run go on",
  responses: { 200: dispatcherView },
  errors: ["SHUTTING_DOWN"],
});
