import type { Keys } from "#contract/queue-keys.ts";
import { fileFailures } from "./many-jobs.ts";
import * as replies from "./replies.ts";
import type { RestClient } from "./rest-client.ts";

/** What one call looks at. */
const batch = 500;

/** Takes jobs whose records are gone off the indexes, and offers of containers that are gone. */
export async function pruneIndexes(client: RestClient, keys: Keys, keepSeconds: number): Promise<void> {
  const { jobPrefix, failedPrefix, index, offers, failures } = keys;
  for (let from = "0"; from !== ""; ) {
    const args = [JSON.stringify({ jobPrefix, failedPrefix, from, keepSeconds, limit: batch })];
    [from] = replies.pruneAnswer.parse(await client.run("prune", { keys: [index, offers, failures], args }));
  }
  await fileFailures(client, keys);
}

export interface RepairSettings {
  /** How long a container has to renew a lease that is not known any more. */
  readonly leaseSeconds: number;
  /** Names this instance in what the script publishes. */
  readonly origin: string;
}

/** Puts jobs back that a server which evicts has taken off their queues. Answers how many. */
export async function repairQueues(
  client: RestClient,
  keys: Keys,
  { leaseSeconds, origin }: RepairSettings,
): Promise<number> {
  const { jobPrefix, readyPrefix, parkedPrefix, index, timetable, events: channel } = keys;
  const settings = { jobPrefix, readyPrefix, parkedPrefix, channel, origin, leaseMs: leaseSeconds * 1000 };
  let repaired = 0;
  for (let from = "0"; from !== ""; ) {
    const args = [JSON.stringify({ ...settings, from, limit: batch })];
    const [count, next] = replies.repairAnswer.parse(await client.run("repair", { keys: [index, timetable], args }));
    repaired += count;
    from = next;
  }
  return repaired;
}
