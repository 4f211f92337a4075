import { z } from "zod";
import { declareRoute } from "./declare.ts";
import { queueErrors } from "./schemas/errors.ts";
import { jobView } from "./schemas/job-view.ts";
import { inline, jobParams } from "./schemas/parameters.ts";

export const getJob = declareRoute({
  method: "GET",
  path: "/jobs/:id",
  access: "key",
  summary: "One job: state, attempts, timings, assets, error",
  params: jobParams,
  query: z.strictObject({ inline }),
  responses: { 200: jobView },
  errors: ["JOB_NOT_FOUND", "RESULT_TOO_LARGE", "STORAGE_UNREACHABLE", "OVERLOADED", ...queueErrors],
});
