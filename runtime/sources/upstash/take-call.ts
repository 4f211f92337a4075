import type { Keys } from "#contract/queue-keys.ts";
import type { TakeRequest } from "../job-source.ts";
import type { ScriptCall } from "./rest-client.ts";

export interface TakeSettings {
  readonly keys: Keys;
  readonly leaseSeconds: number;
  readonly keepSeconds: number;
  readonly workerId: string;
}

export interface TakeTickets {
  /** What the tokens of this call are made from. */
  readonly ticket: string;
  /** Tickets of calls whose answer did not come. */
  readonly unanswered: readonly string[];
  /** Tokens that came with another answer. */
  readonly known: readonly string[];
}

/** What the script `take` is called with. */
export function takeCall(
  { keys, leaseSeconds, keepSeconds, workerId }: TakeSettings,
  requests: readonly TakeRequest[],
  tickets: TakeTickets,
): ScriptCall {
  const workers = requests.map(({ worker, slots, heldModels = [] }) => {
    const { list, side } = keys.producersList(worker);
    const [ready, turns] = [keys.ready(worker), keys.turns(worker)];
    return { worker, slots, held: heldModels, list, side: side.toUpperCase(), ready, turns };
  });
  const { jobPrefix, readyPrefix, timetable, index, deadLetters } = keys;
  const leaseMs = leaseSeconds * 1000;
  const args = { jobPrefix, readyPrefix, leaseMs, keepSeconds, workerId, ...tickets, workers };
  const perWorker = workers.flatMap(({ list, ready, turns }) => [list, ready, turns]);
  return { keys: [timetable, index, deadLetters, ...perWorker], args: [JSON.stringify(args)] };
}
