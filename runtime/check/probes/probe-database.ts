import type { SupabaseConfig } from "#runtime/container/supabase-config.ts";

/**
 * Calls a function of the project's database that only the service key may call.
 *
 * @throws CodedError CONFIG_INVALID (another key, or the migrations are missing), QUEUE_UNREACHABLE, QUEUE_OVER_QUOTA
 */
export async function probeDatabase(project: SupabaseConfig, workerId: string): Promise<string> {
  const { createSupabaseSource } = await import("#runtime/sources/supabase/supabase-source.ts");
  const source = createSupabaseSource({ ...project, workerId, requestTimeoutMs: 10_000, tries: 2 });
  try {
    const queues = await source.stats();
    const queued = queues.reduce((sum, queue) => sum + queue.queued, 0);
    return `${new URL(project.url).host} knows the service key, jobs queued: ${queued}`;
  } finally {
    await source.close();
  }
}
