import { discardJob } from "#runtime/sources/discard-jobs.ts";
import { discardJob as declaration } from "./api/jobs-discard.ts";
import { defineRoute } from "./http/route.ts";

export const discardJobRoute = defineRoute(declaration).handle(
  async ({ params: { id }, query, audit }, { queue, removeFiles }) => {
    const files = await discardJob(queue, id, query.files ? removeFiles : null);
    audit("job discarded", { job_id: id, files });
    return { status: 200, body: { job_id: id, status: "discarded", files } };
  },
);
