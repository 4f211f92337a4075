import { createJob } from "./api/jobs-create.ts";
import { defineRoute } from "./http/route.ts";
import { acceptJob } from "./jobs/accept.ts";
import { parseSubmission } from "./jobs/submission.ts";

export const createJobRoute = defineRoute(createJob, {
  parseBody: (input, { registry }) => parseSubmission(input, registry),
}).handle(async (request, runtime) => {
  const answer = await acceptJob(request, runtime);
  return { status: answer.created ? 202 : 200, headers: { Location: `/jobs/${answer.job_id}` }, body: answer };
});
