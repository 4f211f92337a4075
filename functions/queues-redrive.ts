import { redriveMatching } from "#runtime/sources/change-many.ts";
import { redriveQueue } from "./api/queues-redrive.ts";
import { defineRoute } from "./http/route.ts";
import { answerOf, requestOf } from "./jobs/change-request.ts";

export const redriveQueueRoute = defineRoute(redriveQueue).handle(
  async ({ params: { queue }, query: { force, code, ...conditions }, audit }, runtime) => {
    const request = await requestOf(runtime, { ...conditions, queue }, { statuses: ["failed"], code });
    const outcome = await redriveMatching(runtime.queue, { ...request, force });
    const answer = answerOf(outcome);
    const redriven = outcome.changed.redriven ?? 0;
    if (!request.dryRun) {
      const { type, source } = conditions;
      audit("failed jobs put back on their queue", { queue, code, type, source, force, redriven, left: answer.left });
    }
    const refused = answer.left.find((left) => left.code === "DEPENDENCY_FAILED")?.jobs ?? 0;
    return { status: 202, body: { queue, redriven, refused, ...answer, more: answer.cursor !== null } };
  },
);
