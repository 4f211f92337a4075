import { cancelScript } from "./cancel-script.ts";
import { CodedError } from "./errors.ts";
import type { Job } from "./job.ts";
import { type QueueClient, type QueueOptions, requestQueue } from "./queue-client.ts";
import { createKeys, defaultKeepSettledDays, defaultPrefix } from "./queue-keys.ts";

/** What a caller knows of the job that is to be cancelled. */
export interface CancelledJob extends Pick<Job, "id" | "type" | "user_id" | "priority"> {
  readonly worker: string;
}

/**
 * `cancelled`: it never runs, or not again. `requested`: it runs, its container will hear of it and report its end.
 * `settled`: it had ended before, otherwise. `delivering`: it has been worked off, and its container brings the result to
 * the app: nothing is left to be stopped.
 */
export type CancelAnswer = "cancelled" | "requested" | "settled" | "delivering";

/**
 * Cancels a job in Redis from outside of the containers, with the script that they run: one that waits is taken off
 * its queue, one that runs is ended by its container. One that is not filed yet (its element is still on its producer's
 * list, or will be pushed again) is dropped when it arrives. Of a job that was cancelled here the next container that
 * takes sends the final callback, as of any other.
 *
 * @throws CodedError CONFIG_INVALID, QUEUE_UNREACHABLE, QUEUE_OVER_QUOTA, QUEUE_FULL
 */
export async function cancelQueuedJob(
  redis: QueueClient,
  job: CancelledJob,
  options: QueueOptions = {},
): Promise<CancelAnswer> {
  const { id, type, worker, user_id: user, priority } = job;
  const keys = createKeys({ prefix: options.prefix ?? defaultPrefix, lists: {} });
  const request = {
    readyPrefix: keys.readyPrefix,
    parkedPrefix: keys.parkedPrefix,
    turnsPrefix: keys.turnsPrefix,
    channel: keys.events,
    origin: "producer",
    request: crypto.randomUUID(),
    keepSeconds: defaultKeepSettledDays * 86_400,
    absent: { id, type, worker, user, priority },
  };
  const body = { id, type, user_id: user, priority };
  const names = [keys.job(id), keys.timetable, keys.index];
  const args = [JSON.stringify(request), JSON.stringify({ ...body, config: {}, metadata: {} })];
  const answer = await requestQueue(() => redis.eval(cancelScript, names, args), options);
  const [, word, state]: unknown[] = Array.isArray(answer) ? answer : [];
  // Its cancel may have been requested before, by a call that died, or by an operator at a container.
  if (word === "settled" && state === "cancelled") return "cancelled";
  if (word === "settled" && typeof state === "string" && state.startsWith("{")) return "delivering";
  if (word === "cancelled" || word === "requested" || word === "settled") return word;
  throw new CodedError("INTERNAL", `The queue's server answered a cancel with ${JSON.stringify(word)}.`);
}
