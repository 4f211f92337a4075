import type { TakeRequest } from "../job-source.ts";
import type { Keys } from "./keys.ts";
import type { ScriptCall } from "./rest-client.ts";

export interface TakeSettings {
  readonly keys: Keys;
  readonly leaseSeconds: number;
  readonly keepSeconds: number;
  readonly workerId: string;
}

/**
 * What the script `take` is called with.
 *
 * @param ticket what the tokens of this call are made from
 * @param unanswered tickets of calls whose answer did not come
 */
export function takeCall(
  { keys, leaseSeconds, keepSeconds, workerId }: TakeSettings,
  requests: readonly TakeRequest[],
  ticket: string,
  unanswered: readonly string[],
): ScriptCall {
  const workers = requests.map(({ worker, slots, heldModels = [] }) => {
    const { list, side } = keys.producersList(worker);
    const [ready, turns] = [keys.ready(worker), keys.turns(worker)];
    return { worker, slots, held: heldModels, list, side: side.toUpperCase(), ready, turns };
  });
  const { jobPrefix, readyPrefix, timetable, index, deadLetters } = keys;
  const leaseMs = leaseSeconds * 1000;
  const args = { jobPrefix, readyPrefix, leaseMs, keepSeconds, workerId, ticket, unanswered, workers };
  const perWorker = workers.flatMap(({ list, ready, turns }) => [list, ready, turns]);
  return { keys: [timetable, index, deadLetters, ...perWorker], args: [JSON.stringify(args)] };
}
