import { z } from "zod";
import { toErrorReport } from "../errors.ts";
import { createKeys } from "../queue-keys.ts";
import { findLack, readOffers, type UnofferedNeed } from "../queue-offers.ts";
import { connectQueue } from "./connect-queue.ts";
import type { CallOfAnybody } from "./edge-function.ts";

const timeoutMs = 3_000;
const texts = z.array(z.string());

/** A job on Redis, as far as it says who can run it. */
export interface QueuedJob {
  readonly queue: string;
  readonly type: string;
  readonly model: string | null;
}

/**
 * What a job on Redis needs and no container offers now. Null when one does, and when Redis does not answer: that a job waits
 * for its turn is no reason to refuse it.
 */
export async function waitingFor(
  { config, log }: Pick<CallOfAnybody, "config" | "log">,
  { queue, type, model }: QueuedJob,
): Promise<UnofferedNeed | null> {
  if (config.queue === null) return null;
  const { prefix, ...address } = config.queue;
  try {
    const redis = connectQueue({ ...address, timeoutMs });
    const announced = texts.parse(await redis.hvals(createKeys({ prefix, lists: {} }).offers));
    return findLack(readOffers(announced, Date.now()), queue.replace(/_queue$/, ""), { type, model });
  } catch (error) {
    log.warn({ error: toErrorReport(error).message }, "what containers offer could not be read");
    return null;
  }
}
