import { listJobs } from "./api/jobs-list.ts";
import { defineRoute } from "./http/route.ts";
import { viewJob } from "./jobs/job-view.ts";

export const listJobsRoute = defineRoute(listJobs).handle(async ({ query }, runtime) => {
  const { user_id: userId, ...rest } = query;
  const { jobs, cursor } = await runtime.queue.list({ ...rest, userId });
  return { status: 200, body: { jobs: await Promise.all(jobs.map((job) => viewJob(job, runtime))), cursor } };
});
