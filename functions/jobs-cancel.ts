import { z } from "zod";
import { queueErrors } from "./errors.ts";
import { defineRoute } from "./http/route.ts";
import { jobParams } from "./jobs/find-job.ts";

export const cancelJob = defineRoute({
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
}).handle(async ({ params: { id } }, { queue }) => {
  const outcome = await queue.cancel(id);
  return outcome === "cancelled"
    ? { status: 200, body: { job_id: id, status: "cancelled" } }
    : { status: 202, body: { job_id: id, status: "cancelling" } };
});
