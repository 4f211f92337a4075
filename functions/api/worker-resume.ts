import { declareRoute } from "./declare.ts";
import { dispatcherView } from "./schemas/worker-views.ts";

/** POST /worker/resume: jobs are taken again. */
export const resumeWorker = declareRoute({
  method: "POST",
  path: "/worker/resume",
  access: "key",
  summary: "Go on taking jobs",
  responses: { 200: dispatcherView },
  errors: ["SHUTTING_DOWN"],
});
