import { readUndecodable } from "#runtime/sources/undecodable.ts";
import { listUndecodable } from "./api/undecodable-list.ts";
import { defineRoute } from "./http/route.ts";
import { workerOfQueue } from "./queues/find-queue.ts";
import { viewUndecodable } from "./queues/undecodable-view.ts";

export const listUndecodableRoute = defineRoute(listUndecodable).handle(
  async ({ query: { queue, limit } }, runtime) => {
    const worker = queue === undefined ? undefined : await workerOfQueue(runtime, queue);
    return { status: 200, body: viewUndecodable(await readUndecodable(runtime.sources, worker), limit) };
  },
);
