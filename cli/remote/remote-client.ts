import type { OurvidzClient } from "#client/client.ts";
import { usageError } from "../errors.ts";
import type { QueueChoice } from "../queue.ts";
import type { GlobalOptions } from "../settings.ts";

/**
 * The container that --url (or OURVIDZ_URL) names; null when a queue of this machine is meant, which is also so when
 * --data names a folder.
 */
export async function remoteClient(options: GlobalOptions & QueueChoice): Promise<OurvidzClient | null> {
  const { url, key } = options;
  if (url === undefined || options.data !== undefined) return null;
  if (options.source !== undefined)
    throw usageError(`--url (or OURVIDZ_URL) names a container: leave out --${options.source}.`);
  return new (await import("#client/client.ts")).OurvidzClient({ url, key });
}
