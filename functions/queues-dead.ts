import { shortened } from "#contract/problems.ts";
import type { Runtime } from "#runtime/container/runtime.ts";
import { deadLetters } from "./api/queues-dead.ts";
import { defineRoute } from "./http/route.ts";
import { iso, viewJob } from "./jobs/job-view.ts";
import { workerOfQueue } from "./queues/find-queue.ts";

const maxUndecodable = 100;

export const deadLettersRoute = defineRoute(deadLetters).handle(async ({ params: { queue }, query, base }, runtime) => {
  const { source, ...page } = query;
  const worker = await workerOfQueue(runtime, queue);
  const [{ jobs, cursor }, elements] = await Promise.all([
    runtime.queue.list({ ...page, worker, status: "failed" }, source),
    page.cursor === undefined ? undecodableOf(runtime, worker, source) : [],
  ]);
  return {
    status: 200,
    body: {
      queue,
      jobs: await Promise.all(jobs.map((record) => viewJob(record, runtime, base))),
      cursor,
      undecodable: elements,
    },
  };
});

async function undecodableOf({ sources }: Runtime, worker: string, only: string | undefined) {
  const meant = [...sources].filter(([name]) => only === undefined || name === only);
  const lists = await Promise.all(
    meant.map(async ([, { undecodable }]) => (await undecodable?.list(maxUndecodable)) ?? []),
  );
  return lists
    .flat()
    .filter((element) => element.worker === worker)
    .map(({ id, reason, atMs, raw }) => ({ id, reason, at: iso(atMs), element: String(shortened(raw)) }));
}
