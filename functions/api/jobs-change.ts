import { z } from "zod";
import { priority } from "#contract/job.ts";
import { declareRoute } from "./declare.ts";
import { queueErrors } from "./schemas/errors.ts";
import { jobParams } from "./schemas/parameters.ts";

/** PATCH /jobs/:id: what of a waiting job can be another than it came with. */
export const changeJob = declareRoute({
  method: "PATCH",
  path: "/jobs/:id",
  access: "key",
  summary: "Give a waiting job another priority",
  params: jobParams,
  body: z.strictObject({ priority }),
  responses: {
    200: z.object({
      job_id: z.string(),
      priority: z.number(),
      /** 1 goes next; 0: it has been taken since. */
      queue_position: z.number().int(),
    }),
  },
  errors: ["JOB_NOT_FOUND", "JOB_NOT_QUEUED", ...queueErrors],
});
