import type { Keys } from "#contract/queue-keys.ts";
import { maxSkipped, type TakeRequest, type UserJobs } from "../job-source.ts";
import type { ScriptCall } from "./rest-client.ts";

export interface TakeSettings {
  readonly keys: Keys;
  readonly leaseSeconds: number;
  readonly keepSeconds: number;
  readonly workerId: string;
  /** Names this instance in what the script publishes. */
  readonly origin: string;
}

export interface TakeTickets {
  /** What the tokens of this call are made from. */
  readonly ticket: string;
  /** Tickets of calls whose answer did not come. */
  readonly unanswered: readonly string[];
  /** Tokens that came with another answer. */
  readonly known: readonly string[];
}

/**
 * What the script `take` is called with.
 *
 * @param maxEnds how many unreported ends it may answer
 */
export function takeCall(
  { keys, leaseSeconds, keepSeconds, workerId, origin }: TakeSettings,
  requests: readonly TakeRequest[],
  tickets: TakeTickets,
  maxEnds: number,
): ScriptCall {
  const workers = requests.map(({ worker, slots, heldModels = [], offer, skip }) => {
    const { list, side } = keys.producersList(worker);
    const [ready, turns] = [keys.ready(worker), keys.turns(worker)];
    return {
      worker,
      slots,
      held: heldModels,
      list,
      side: side.toUpperCase(),
      ready,
      turns,
      offer,
      skip: skipped(skip),
    };
  });
  const { jobPrefix, readyPrefix, parkedPrefix, failures, failedPrefix, events: channel } = keys;
  const { timetable, index, deadLetters } = keys;
  const places = { jobPrefix, readyPrefix, parkedPrefix, failures, failedPrefix, channel, origin };
  const args = { ...places, leaseMs: leaseSeconds * 1000, keepSeconds, workerId, ...tickets, maxEnds, workers };
  const perWorker = workers.flatMap(({ list, ready, turns }) => [list, ready, turns]);
  return { keys: [timetable, index, deadLetters, ...perWorker], args: [JSON.stringify(args)] };
}

function skipped(skip: readonly UserJobs[] | undefined) {
  return skip?.slice(0, maxSkipped).map(({ userId: user, type }) => ({ user, type }));
}
