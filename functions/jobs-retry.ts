import { z } from "zod";
import { queueErrors } from "./errors.ts";
import { defineRoute } from "./http/route.ts";
import { jobParams } from "./jobs/find-job.ts";

export const retryJob = defineRoute({
  method: "POST",
  path: "/jobs/:id/retry",
  access: "key",
  summary: "Put a failed job back on its queue",
  params: jobParams,
  responses: { 202: z.object({ job_id: z.string(), status: z.literal("queued") }) },
  errors: ["JOB_NOT_FOUND", "JOB_NOT_FAILED", "DEPENDENCY_FAILED", ...queueErrors],
}).handle(async ({ params: { id } }, { queue }) => {
  await queue.redrive(id);
  return { status: 202, headers: { Location: `/jobs/${id}` }, body: { job_id: id, status: "queued" } };
});
