import type { Redis } from "@upstash/redis";
import { z } from "zod";
import { toErrorReport } from "../errors.ts";
import { createKeys, type Keys } from "../queue-keys.ts";
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
export function waitingFor(
  call: Pick<CallOfAnybody, "config" | "log">,
  { queue, type, model }: QueuedJob,
): Promise<UnofferedNeed | null> {
  return readQueue(call, "what containers offer", async (redis, keys) => {
    const announced = texts.parse(await redis.hvals(keys.offers));
    return findLack(readOffers(announced, Date.now()), workerOf(queue), { type, model });
  });
}

/** Since when the queue is paused on Redis, in milliseconds since 1970. Null when it is not, and when Redis does not answer. */
export function pausedSince(call: Pick<CallOfAnybody, "config" | "log">, queue: string): Promise<number | null> {
  return readQueue(call, "whether the queue is paused", async (redis, keys) => {
    const members = texts.parse(await redis.zrange(keys.timetable, "-inf", 0, { byScore: true }));
    const mark = `:paused:${workerOf(queue)}:`;
    const member = members.find((each) => each.startsWith(mark));
    return member === undefined ? null : Number(member.slice(mark.length));
  });
}

const workerOf = (queue: string) => queue.replace(/_queue$/, "");

/** What is only to be shown must not fail an answer: null when Redis does not answer. */
async function readQueue<Answer>(
  { config, log }: Pick<CallOfAnybody, "config" | "log">,
  what: string,
  read: (redis: Redis, keys: Keys) => Promise<Answer>,
): Promise<Answer | null> {
  if (config.queue === null) return null;
  const { prefix, ...address } = config.queue;
  try {
    return await read(connectQueue({ ...address, timeoutMs }), createKeys({ prefix, lists: {} }));
  } catch (error) {
    log.warn({ error: toErrorReport(error).message }, `${what} could not be read`);
    return null;
  }
}
