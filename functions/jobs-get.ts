import { getJob } from "./api/jobs-get.ts";
import { defineRoute } from "./http/route.ts";
import { findJob } from "./jobs/find-job.ts";
import { withFiles } from "./jobs/inline-files.ts";
import { viewJob } from "./jobs/job-view.ts";

export const getJobRoute = defineRoute(getJob).handle(async ({ params, query, signal, base }, runtime) => {
  const job = await viewJob(await findJob(runtime.queue, params.id), runtime, base);
  return { status: 200, body: query.inline === undefined ? job : await withFiles(job, runtime, signal) };
});
