import { z } from "zod";
import { declareRoute } from "./declare.ts";
import { queueErrors } from "./schemas/errors.ts";
import { jobParams } from "./schemas/parameters.ts";

export const cancelJob = declareRoute({
  method: "DELETE",
  path: "/jobs/:id",
  access: "key",
  summary: "Cancel a job, queued or running",
  params: jobParams,
  responses: {
    200: z.object({ job_id: z.string(), status: z.literal("cancelled") }),
    /** It runs: the container that has it stops it within a step. */
    202: z.object({ job_id: z.string(), status: z.literal("cancelling") }),
  },
  errors: ["JOB_NOT_FOUND", "JOB_ALREADY_SETTLED", ...queueErrors],
});
