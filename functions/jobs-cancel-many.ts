import { cancelMatching } from "#runtime/sources/change-many.ts";
import { cancelJobs } from "./api/jobs-cancel-many.ts";
import { defineRoute } from "./http/route.ts";
import { answerOf, requestOf } from "./jobs/change-request.ts";

export const cancelJobsRoute = defineRoute(cancelJobs).handle(async ({ body, audit }, runtime) => {
  const statuses = body.status === "any" ? (["queued", "running"] as const) : [body.status];
  const request = await requestOf(runtime, body, { statuses });
  const outcome = await cancelMatching(runtime.queue, request);
  const answer = answerOf(outcome);
  const done = { cancelled: outcome.changed.cancelled ?? 0, requested: outcome.changed.requested ?? 0 };
  if (!request.dryRun) audit("jobs cancelled", { filter: request.filter, ...done, left: answer.left });
  return { status: 200, body: { ...done, ...answer } };
});
