import type { SupabaseConfig } from "#runtime/container/supabase-config.ts";
import { EdgeRegistrar } from "#runtime/heartbeat/edge-registrar.ts";

/**
 * Checks the edge function that takes registrations, without making one.
 *
 * @throws CodedError REGISTRATION_FAILED, CONFIG_INVALID (the key is refused)
 */
export async function probeRegistration(project: SupabaseConfig): Promise<string> {
  const registrar = new EdgeRegistrar({ project, nowMs: Date.now });
  await registrar.check(AbortSignal.timeout(20_000));
  return `the edge function ${registrar.name} knows the service key`;
}
