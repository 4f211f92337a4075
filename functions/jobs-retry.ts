import { retryJob } from "./api/jobs-retry.ts";
import { defineRoute } from "./http/route.ts";

export const retryJobRoute = defineRoute(retryJob).handle(async ({ params: { id } }, { queue }) => {
  await queue.redrive(id);
  return { status: 202, headers: { Location: `/jobs/${id}` }, body: { job_id: id, status: "queued" } };
});
