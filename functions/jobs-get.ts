import { getJob } from "./api/jobs-get.ts";
import { defineRoute } from "./http/route.ts";
import { findJob } from "./jobs/find-job.ts";
import { respondWithFiles } from "./jobs/inline-files.ts";
import { viewJob } from "./jobs/job-view.ts";

export const getJobRoute = defineRoute(getJob).handle(async ({ method, params, query, signal, base }, runtime) => {
  const job = await viewJob(await findJob(runtime.queue, params.id), runtime, base);
  // The answer to HEAD has no body, which nobody would take.
  if (query.inline === undefined || method === "HEAD") return { status: 200, body: job };
  return { response: await respondWithFiles({ job }, runtime, signal) };
});
