import { z } from "zod";
import { wholeNumberFrom } from "#contract/fields.ts";
import { shortened } from "#contract/problems.ts";
import type { Runtime } from "#runtime/container/runtime.ts";
import { queueErrors } from "./errors.ts";
import { defineRoute } from "./http/route.ts";
import { cursor } from "./jobs/cursor.ts";
import { iso, jobView, viewJob } from "./jobs/job-view.ts";
import { queueParams, workerOfQueue } from "./queues/find-queue.ts";

const mostUndecodable = 100;

const undecodable = z.object({
  /** Why there is no job in it. */
  reason: z.string(),
  at: z.iso.datetime(),
  /** Its beginning, without secrets. */
  element: z.string(),
});

/** GET /queues/:queue/dead: jobs that failed for good, with why. */
export const deadLetters = defineRoute({
  method: "GET",
  path: "/queues/:queue/dead",
  access: "key",
  summary: "Dead letters of a queue: jobs that failed for good, with why, newest first",
  params: queueParams,
  query: z.strictObject({
    limit: wholeNumberFrom(1, 200).default(50),
    cursor: cursor.optional(),
  }),
  responses: {
    200: z.object({
      queue: z.string(),
      /** Can be redriven. */
      jobs: z.array(jobView),
      /** For the next page; null on the last. */
      cursor: z.string().nullable(),
      /** Elements of a queue in which there is no job, the newest first; with the first page only. */
      undecodable: z.array(undecodable),
    }),
  },
  errors: ["NOT_FOUND", ...queueErrors],
}).handle(async ({ params: { queue }, query }, runtime) => {
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
    [...sources.values()].map(async ({ undecodable }) => (await undecodable?.list(mostUndecodable)) ?? []),
  );
  return lists
    .flat()
    .filter((element) => element.worker === worker)
    .map(({ reason, atMs, raw }) => ({ reason, at: iso(atMs), element: String(shortened(raw)) }));
}
