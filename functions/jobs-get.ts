import { getJob } from "./api/jobs-get.ts";
import { defineRoute } from "./http/route.ts";
import { findJob } from "./jobs/find-job.ts";
import { viewJob } from "./jobs/job-view.ts";

export const getJobRoute = defineRoute(getJob).handle(async ({ params, base }, runtime) => {
  return { status: 200, body: await viewJob(await findJob(runtime.queue, params.id), runtime, base) };
});
