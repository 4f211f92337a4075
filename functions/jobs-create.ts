import { queueErrors } from "./errors.ts";
import { defineRoute } from "./http/route.ts";
import { accepted, acceptJob, submissionHeaders } from "./jobs/accept.ts";
import { parseSubmission, submission } from "./jobs/submission.ts";

export const createJob = defineRoute({
  method: "POST",
  path: "/jobs",
  access: "key",
  summary: "Enqueue a job",
  headers: submissionHeaders,
  body: submission,
  parseBody: (input, { registry }) => parseSubmission(input, registry),
  takesJob: true,
  responses: {
    /** The job was there already. */
    200: accepted,
    202: accepted,
  },
  errors: ["UNKNOWN_JOB_TYPE", "IDEMPOTENCY_CONFLICT", "TOO_MANY_JOBS", "QUEUE_FULL", ...queueErrors],
}).handle(async ({ body, headers }, runtime) => {
  const answer = await acceptJob(body, headers, runtime);
  return { status: answer.created ? 202 : 200, headers: { Location: `/jobs/${answer.job_id}` }, body: answer };
});
