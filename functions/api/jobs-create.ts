import { declareRoute } from "./declare.ts";
import { queueErrors } from "./schemas/errors.ts";
import { inputErrors } from "./schemas/input-view.ts";
import { destination } from "./schemas/parameters.ts";
import { accepted, submission, submissionHeaders } from "./schemas/submission.ts";

export const createJob = declareRoute({
  method: "POST",
  path: "/jobs",
  access: "key",
  summary: "Enqueue a job",
  headers: submissionHeaders,
  query: destination,
  body: submission,
  takesJob: true,
  responses: {
    /** The job was there already. */
    200: accepted,
    202: accepted,
  },
  errors: [
    "UNKNOWN_JOB_TYPE",
    "NOT_READY",
    "IDEMPOTENCY_CONFLICT",
    "TOO_MANY_JOBS",
    "QUEUE_FULL",
    "WEBHOOK_REFUSED",
    "UNSUPPORTED_OPTION",
    ...inputErrors,
    ...queueErrors,
  ],
});
