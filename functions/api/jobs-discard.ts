import { z } from "zod";
import { declareRoute } from "./declare.ts";
import { queueErrors } from "./schemas/errors.ts";
import { flag, jobParams } from "./schemas/parameters.ts";

export const discardJob = declareRoute({
  method: "POST",
  path: "/jobs/:id/discard",
  access: "key",
  summary: "Forget a job that has ended, with its files if wanted",
  params: jobParams,
  query: z.strictObject({
    /** Also deletes its files, and what was reported of it in the container's data folder. */
    files: flag.default(false),
  }),
  responses: {
    200: z.object({
      job_id: z.string(),
      status: z.literal("discarded"),
      /** How many files went. */
      files: z.number().int(),
    }),
  },
  errors: [
    "JOB_NOT_FOUND",
    "JOB_NOT_SETTLED",
    "ASSET_PATH_REFUSED",
    "STORAGE_UNREACHABLE",
    "STORAGE_REFUSED",
    ...queueErrors,
  ],
});
