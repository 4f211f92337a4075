import { redriveMatching } from "#runtime/sources/change-many.ts";
import { redriveQueue } from "./api/queues-redrive.ts";
import { defineRoute } from "./http/route.ts";
import { workerOfQueue } from "./queues/find-queue.ts";

/** What one request may take; who wants more asks again. */
const limitMs = 20_000;

export const redriveQueueRoute = defineRoute(redriveQueue).handle(
  async ({ params: { queue }, query: { limit, cursor, code, type, force, dry_run: dryRun }, audit }, runtime) => {
    const worker = await workerOfQueue(runtime, queue);
    const filter = { statuses: ["failed"] as const, worker, code, type };
    const signal = AbortSignal.timeout(limitMs);
    const { changed, ...outcome } = await redriveMatching(runtime.queue, {
      filter,
      limit,
      cursor,
      force,
      dryRun,
      signal,
    });
    const redriven = changed.redriven ?? 0;
    if (!dryRun)
      audit("failed jobs put back on their queue", { queue, code, type, force, redriven, left: outcome.left });
    const refused = outcome.left.find((left) => left.code === "DEPENDENCY_FAILED")?.jobs ?? 0;
    const { matched, left, unreachable } = outcome;
    const answer = { queue, redriven, refused, matched, left: [...left], unreachable: [...unreachable] };
    return { status: 202, body: { ...answer, cursor: outcome.cursor, more: outcome.cursor !== null } };
  },
);
