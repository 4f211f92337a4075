import { changeJob } from "./api/jobs-change.ts";
import { defineRoute } from "./http/route.ts";

export const changeJobRoute = defineRoute(changeJob).handle(
  async ({ params: { id }, body: { priority }, audit }, { queue }) => {
    await queue.reprioritize(id, priority);
    audit("job given another priority", { job_id: id, priority });
    const record = await queue.get(id);
    return { status: 200, body: { job_id: id, priority, queue_position: record?.place ?? 0 } };
  },
);
