import { z } from "zod";
import { safeId } from "#contract/job.ts";
import { declareRoute } from "./declare.ts";
import { queueErrors } from "./schemas/errors.ts";

/** POST /outbox/give-up: for reports that nobody will ever take, as of an app that is not there any more. */
export const giveUpReport = declareRoute({
  method: "POST",
  path: "/outbox/give-up",
  access: "key",
  summary: "Report the end of a job no further, and settle it",
  description:
    "Those that wait to be notified of it, the app or the job's own webhook, are not; a webhook that was to follow the app's report is still sent. The job has its end, and its files are where they were stored. A job whose files are not stored yet is refused. So is one whose row in the outbox cannot be read (`unreadable` in GET /outbox): `job_id` may be the name of that row, which is removed then.",
  body: z.strictObject({ job_id: safeId }, "must be an object"),
  responses: {
    202: z.object({
      job_id: z.string(),
      /** How many reports of it are given up: to the app, to its webhook. */
      given_up: z.int(),
    }),
  },
  errors: ["NOT_FOUND", "JOB_NOT_SETTLED", "RESULT_UNREADABLE", "SHUTTING_DOWN", ...queueErrors],
});
