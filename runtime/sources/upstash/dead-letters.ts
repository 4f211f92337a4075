import type { Keys } from "#contract/queue-keys.ts";
import * as replies from "./replies.ts";
import type { RestClient } from "./rest-client.ts";

/** What is read of one dead letter, and at how much altogether no more is looked at. */
const limits = { keptBytes: 8192, maxBytes: 32 * 1_048_576 };

/**
 * Elements in which there is no job, the newest first, each from its beginning; at most 1,000 are kept. Fewer than `limit`
 * where they are large.
 */
export async function readDeadLetters(client: RestClient, keys: Keys, limit: number): Promise<replies.DeadLetter[]> {
  const args = [JSON.stringify({ limit, ...limits })];
  const [letters] = replies.deadLettersAnswer.parse(
    await client.run("dead-letters", { keys: [keys.deadLetters], args }),
  );
  return letters;
}

/**
 * Takes elements of one worker without a job off, all of them or one; answers how many. Begins no further part after the
 * signal aborts.
 */
export async function discardDeadLetters(
  client: RestClient,
  keys: Keys,
  { worker, id }: { readonly worker: string; readonly id: string | undefined },
  signal: AbortSignal,
): Promise<number> {
  let discarded = 0;
  for (let skip = 0; skip >= 0 && !signal.aborted; ) {
    const args = [JSON.stringify({ worker, id, skip, ...limits })];
    const run = await client.run("discard-letters", { keys: [keys.deadLetters], args });
    const [taken, next] = replies.discardLettersAnswer.parse(run);
    discarded += taken;
    skip = next;
  }
  return discarded;
}
