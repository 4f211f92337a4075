import { discardUndecodable } from "#runtime/sources/undecodable.ts";
import { discardUndecodable as declaration } from "./api/undecodable-discard.ts";
import { HttpError } from "./errors.ts";
import { defineRoute } from "./http/route.ts";
import { workerOfQueue } from "./queues/find-queue.ts";

/** What one request may take; who wants more asks again. */
const limitMs = 20_000;

export const discardUndecodableRoute = defineRoute(declaration).handle(
  async ({ params: { queue }, query: { id, all }, audit }, runtime) => {
    if ((id === undefined) === (all === undefined))
      throw new HttpError("INVALID_REQUEST", "Say which elements: id names one, all=true means all of the queue.");
    const worker = await workerOfQueue(runtime, queue);
    const signal = AbortSignal.timeout(limitMs);
    const discarded = await discardUndecodable(runtime.sources, { worker, id, signal });
    audit("undecodable elements discarded", { queue, id, discarded });
    const isMet = id !== undefined && discarded > 0;
    return { status: 200, body: { queue, discarded, more: signal.aborted && !isMet } };
  },
);
