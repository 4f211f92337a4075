import { discardMatching } from "#runtime/sources/discard-jobs.ts";
import { discardJobs } from "./api/jobs-discard-many.ts";
import { defineRoute } from "./http/route.ts";
import { answerOf, requestOf } from "./jobs/change-request.ts";

const ended = ["failed", "completed", "cancelled"] as const;

export const discardJobsRoute = defineRoute(discardJobs).handle(async ({ body, audit }, runtime) => {
  const { status, code, files } = body;
  const statuses = status === "any" ? ended : [status];
  const request = await requestOf(runtime, body, { statuses, code });
  const outcome = await discardMatching(runtime.queue, { ...request, removeFiles: files ? runtime.removeFiles : null });
  const answer = answerOf(outcome);
  const done = { discarded: outcome.changed.discarded ?? 0, files: outcome.changed.files ?? 0 };
  if (!request.dryRun) audit("jobs discarded", { filter: request.filter, ...done, left: answer.left });
  return { status: 200, body: { ...done, ...answer } };
});
