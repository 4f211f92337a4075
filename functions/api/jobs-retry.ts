import { z } from "zod";
import { declareRoute } from "./declare.ts";
import { queueErrors } from "./schemas/errors.ts";
import { flag, jobParams } from "./schemas/parameters.ts";

export const retryJob = declareRoute({
  method: "POST",
  path: "/jobs/:id/retry",
  access: "key",
  summary: "Put a failed job back on its queue",
  params: jobParams,
  query: z.strictObject({
    /** Also one that would fail again as it is. */
    force: flag.default(false),
  }),
  responses: { 202: z.object({ job_id: z.string(), status: z.literal("queued") }) },
  errors: ["JOB_NOT_FOUND", "JOB_NOT_FAILED", "JOB_NOT_RETRYABLE", "DEPENDENCY_FAILED", ...queueErrors],
});
