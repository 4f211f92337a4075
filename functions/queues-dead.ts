import { shortened } from "#contract/problems.ts";
import type { Runtime } from "#runtime/container/runtime.ts";
import { deadLetters } from "./api/queues-dead.ts";
import { defineRoute } from "./http/route.ts";
import { iso, viewJob } from "./jobs/job-view.ts";
import { workerOfQueue } from "./queues/find-queue.ts";

const maxUndecodable = 100;

export const deadLettersRoute = defineRoute(deadLetters).handle(async ({ params: { queue }, query }, runtime) => {
  const worker = await workerOfQueue(runtime, queue);
  const [page, elements] = await Promise.all([
    runtime.queue.list({ ...query, worker, status: "failed" }),
    query.cursor === undefined ? undecodableOf(runtime, worker) : [],
  ]);
  return {
    status: 200,
    body: {
      queue,
      jobs: await Promise.all(page.jobs.map((record) => viewJob(record, runtime))),
      cursor: page.cursor,
      undecodable: elements,
    },
  };
});

async function undecodableOf({ sources }: Runtime, worker: string) {
  const lists = await Promise.all(
    [...sources.values()].map(async ({ undecodable }) => (await undecodable?.list(maxUndecodable)) ?? []),
  );
  return lists
    .flat()
    .filter((element) => element.worker === worker)
    .map(({ reason, atMs, raw }) => ({ reason, at: iso(atMs), element: String(shortened(raw)) }));
}
