import { randomUUID } from "node:crypto";
import { jobCallback } from "#contract/callback.ts";
import { toErrorReport } from "#contract/errors.ts";
import type { CallbackConfig, SupabaseConfig } from "#runtime/container/supabase-config.ts";
import { HttpCallback } from "#runtime/delivery/callbacks/http-callback.ts";

const limitMs = 20_000;

/**
 * Sends a callback of a job that does not exist. Key and signature are right when the endpoint answers just that.
 *
 * @throws CodedError CALLBACK_REFUSED, CALLBACK_UNREACHABLE
 */
export async function probeCallback(
  config: CallbackConfig,
  project: SupabaseConfig | null,
  workerId: string,
): Promise<string> {
  const endpoint = new HttpCallback({ config, project, nowMs: Date.now, limitMs });
  const probe = jobCallback.parse({
    job_id: randomUUID(),
    status: "processing",
    metadata: { progress: 0, worker_id: workerId },
  });
  const { host, pathname } = new URL(config.url);
  const words = `${host}${pathname} answers ${config.secret === null ? "unsigned callbacks; JOB_CALLBACK_SECRET would sign them" : "signed callbacks"}`;
  try {
    await endpoint.send(probe, AbortSignal.timeout(limitMs));
    return `${words}, also of a job that does not exist`;
  } catch (error) {
    if (toErrorReport(error).code === "JOB_NOT_FOUND") return words;
    throw error;
  }
}
