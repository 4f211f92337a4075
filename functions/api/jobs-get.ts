import { declareRoute } from "./declare.ts";
import { queueErrors } from "./schemas/errors.ts";
import { jobView } from "./schemas/job-view.ts";
import { jobParams } from "./schemas/parameters.ts";

export const getJob = declareRoute({
  method: "GET",
  path: "/jobs/:id",
  access: "key",
  summary: "One job: state, attempts, timings, assets, error",
  params: jobParams,
  responses: { 200: jobView },
  errors: ["JOB_NOT_FOUND", ...queueErrors],
});
