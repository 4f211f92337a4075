import type { SupabaseSourceOptions } from "./options.ts";
import { createSupabaseSource } from "./supabase-source.ts";

/**
 * Calls a function of the project's database that only the service key may call.
 *
 * @throws CodedError CONFIG_INVALID (another key, or the migrations are missing), QUEUE_UNREACHABLE, QUEUE_OVER_QUOTA
 */
export async function probeDatabase(settings: SupabaseSourceOptions): Promise<string> {
  const source = createSupabaseSource({ ...settings, requestTimeoutMs: 10_000, tries: 2 });
  try {
    const queues = await source.stats();
    const queued = queues.reduce((sum, queue) => sum + queue.queued, 0);
    return `${new URL(settings.url).host} knows the service key, jobs queued: ${queued}`;
  } finally {
    await source.close();
  }
}
