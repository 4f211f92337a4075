import { z } from "zod";
import { wholeNumberFrom } from "#contract/fields.ts";
import { jobStatuses } from "#runtime/sources/job-source.ts";
import { queueErrors } from "./errors.ts";
import { defineRoute } from "./http/route.ts";
import { cursor } from "./jobs/cursor.ts";
import { jobView, viewJob } from "./jobs/job-view.ts";

// Strict: a misspelt filter that is ignored would list what was not asked for.
const filter = z.strictObject({
  status: z.enum(jobStatuses).optional(),
  type: z.string().max(200).optional(),
  user_id: z.string().max(200).optional(),
  limit: wholeNumberFrom(1, 200).default(50),
  cursor: cursor.optional(),
});

export const listJobs = defineRoute({
  method: "GET",
  path: "/jobs",
  access: "key",
  summary: "Jobs, newest first",
  query: filter,
  responses: {
    200: z.object({
      jobs: z.array(jobView),
      /** For the next page; null on the last. */
      cursor: z.string().nullable(),
    }),
  },
  errors: queueErrors,
}).handle(async ({ query }, runtime) => {
  const { user_id: userId, ...rest } = query;
  const { jobs, cursor } = await runtime.queue.list({ ...rest, userId });
  return { status: 200, body: { jobs: await Promise.all(jobs.map((job) => viewJob(job, runtime))), cursor } };
});
