import { z } from "zod";
import { declareRoute } from "./declare.ts";
import { queueErrors } from "./schemas/errors.ts";
import { inputErrors } from "./schemas/input-view.ts";
import { jobView } from "./schemas/job-view.ts";
import { destination, inline } from "./schemas/parameters.ts";
import { accepted, submission, submissionHeaders } from "./schemas/submission.ts";

const generatedJob = jobView
  .extend(accepted.pick({ ignored: true, ignored_more: true, did_you_mean: true }).shape)
  .meta({ id: "GeneratedJob" });

/** Not ended yet: with what the job waits for, where that is known, as its record says it. */
const notYetGenerated = accepted
  .extend({ waiting_for: jobView.shape.waiting_for, waiting_reason: jobView.shape.waiting_reason })
  .meta({ id: "NotYetGenerated" });
export type NotYetGenerated = z.output<typeof notYetGenerated>;

/**
 * POST /generate: a job whose result is the answer. It goes over the queue like any other, so that it is subject to the
 * same priorities, limits and retries, and its result is kept.
 *
 * Who made a job without a name of its own (`id`, idempotency key) and leaves before it ends cannot come back to it: it is
 * cancelled, unless another request waits for it. A job that has a name goes on: the same request, sent again, joins it and
 * gets its result. So does one whose wait is over, which the client was notified of, and one whose container shuts down.
 */
export const generate = declareRoute({
  method: "POST",
  path: "/generate",
  access: "key",
  summary: "Run a job and wait for its result",
  description:
    "Answers 200 with the completed job. Prefer: respond-async, or a wait that is over, answers 202: the job goes on, waiting_for says what it waits for that no container has, and GET /jobs/{id} tells of it. The same request sent again with the same id or Idempotency-Key joins the job and gets its result, also after a lost connection. A client that closes the connection cancels a job that has neither. A job that fails is answered with its own error and its status; details.job_id names it.",
  headers: {
    ...submissionHeaders,
    Prefer: z
      .string()
      .describe("respond-async: do not wait. wait=<seconds>: wait so long, at most 600; 300 by default."),
  },
  query: destination.extend({ inline }),
  body: submission,
  takesJob: true,
  responses: { 200: generatedJob, 202: notYetGenerated },
  errors: [
    "UNKNOWN_JOB_TYPE",
    "NOT_READY",
    "IDEMPOTENCY_CONFLICT",
    "JOB_NOT_FOUND",
    "TOO_MANY_JOBS",
    "QUEUE_FULL",
    "WEBHOOK_REFUSED",
    "UNSUPPORTED_OPTION",
    "RESULT_TOO_LARGE",
    "STORAGE_UNREACHABLE",
    "CANCELLED",
    "HANDLER_FAILED",
    "STORAGE_REFUSED",
    "TIMED_OUT",
    "OVERLOADED",
    "SHUTTING_DOWN",
    "DEPENDENCY_FAILED",
    ...inputErrors,
    ...queueErrors,
  ],
});
