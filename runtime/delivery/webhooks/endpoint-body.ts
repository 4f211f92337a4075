import { hostname } from "node:os";
import { workerVersion } from "#runtime/container/version.ts";
import { emulatedType, failedStatus } from "#runtime/endpoints/endpoint-job.ts";
import { type RunpodStatus, requestFields } from "#runtime/endpoints/request-fields.ts";
import type { ResultFiles } from "#runtime/sources/job-source.ts";
import { outputOf } from "#runtime/sources/runpod/output.ts";
import { errorText } from "#runtime/sources/runpod/protocol/bodies.ts";
import { maxBodyBytes } from "#runtime/sources/runpod/protocol/limits.ts";
import type { OutboxEntry } from "../outbox-entry.ts";
import type { EndpointWebhook, WebhookPayload } from "./endpoint-webhook.ts";

/** The end of a job in RunPod's words. Addresses of files are made now: they can be read for a while only. */
export async function endpointBody(
  { settlement, callback, lease }: Pick<OutboxEntry, "settlement" | "callback" | "lease">,
  { url, requestId, takenBy }: EndpointWebhook,
  { input, posted }: WebhookPayload,
  files: ResultFiles,
): Promise<Readonly<Record<string, unknown>>> {
  const { queue_time: waited, generation_time: took, worker_id: workerId, job_type: type } = callback.metadata;
  const isEmulated = type === emulatedType;
  // Without a lease nobody here has run it.
  const ranHere = lease.token === "" || isEmulated ? null : String(workerId);
  const fields = requestFields({
    id: requestId,
    status: statusOf(settlement),
    waitedMs: typeof waited === "number" ? waited * 1000 : null,
    ranMs: typeof took === "number" ? took * 1000 : null,
    workerId: takenBy ?? ranHere,
    ...(posted ?? (await shown())),
  });
  return { ...fields, input, webhook: url };

  async function shown() {
    if (settlement.kind === "fail") {
      const poster = { hostname: hostname(), workerId: String(workerId), version: workerVersion };
      return { error: isEmulated ? settlement.error.message : errorText(settlement.error, poster) };
    }
    if (settlement.kind === "cancelled") return {};
    const { assets, metadata, text } = callback;
    const result = { assets, metadata, ...(typeof text === "string" ? { text } : {}) };
    const built = await outputOf(result, files, maxBodyBytes(requestId));
    // The end is notified of, whatever has become of its files.
    return "refusal" in built ? { error: built.refusal.message } : { output: built.output };
  }
}

function statusOf(settlement: OutboxEntry["settlement"]): RunpodStatus {
  if (settlement.kind === "fail") return failedStatus(settlement.error);
  return settlement.kind === "complete" ? "COMPLETED" : "CANCELLED";
}
