import { listJobs } from "./api/jobs-list.ts";
import { defineRoute } from "./http/route.ts";
import { viewJob } from "./jobs/job-view.ts";

export const listJobsRoute = defineRoute(listJobs).handle(async ({ query, base }, runtime) => {
  const { user_id: userId, source, ...rest } = query;
  const { jobs, cursor, unreachable } = await runtime.queue.list({ ...rest, userId }, source);
  const views = await Promise.all(jobs.map((job) => viewJob(job, runtime, base)));
  return { status: 200, body: { jobs: views, cursor, unreachable: [...unreachable] } };
});
