import { cancelJob } from "./api/jobs-cancel.ts";
import { defineRoute } from "./http/route.ts";

export const cancelJobRoute = defineRoute(cancelJob).handle(async ({ params: { id }, audit }, { queue }) => {
  const outcome = await queue.cancel(id);
  audit("job cancelled", { job_id: id, outcome });
  return outcome === "cancelled"
    ? { status: 200, body: { job_id: id, status: "cancelled" } }
    : { status: 202, body: { job_id: id, status: "cancelling" } };
});
