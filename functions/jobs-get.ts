import { queueErrors } from "./errors.ts";
import { defineRoute } from "./http/route.ts";
import { findJob, jobParams } from "./jobs/find-job.ts";
import { jobView, viewJob } from "./jobs/job-view.ts";

export const getJob = defineRoute({
  method: "GET",
  path: "/jobs/:id",
  access: "key",
  summary: "One job: state, attempts, timings, assets, error",
  params: jobParams,
  responses: { 200: jobView },
  errors: ["JOB_NOT_FOUND", ...queueErrors],
}).handle(async ({ params }, runtime) => {
  return { status: 200, body: await viewJob(await findJob(runtime.queue, params.id), runtime) };
});
