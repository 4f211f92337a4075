import { retryJob } from "#runtime/sources/retry-job.ts";
import { retryJob as declaration } from "./api/jobs-retry.ts";
import { defineRoute } from "./http/route.ts";

export const retryJobRoute = defineRoute(declaration).handle(
  async ({ params: { id }, query: { force }, audit }, { queue }) => {
    await retryJob(queue, id, force);
    audit("job put back on its queue", { job_id: id, force });
    return { status: 202, headers: { Location: `/jobs/${id}` }, body: { job_id: id, status: "queued" } };
  },
);
