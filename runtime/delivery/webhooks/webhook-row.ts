import { emulatedType } from "#runtime/endpoints/endpoint-job.ts";
import type { ResultFiles } from "#runtime/sources/job-source.ts";
import type { Outbox } from "../outbox.ts";
import type { OutboxEntry } from "../outbox-entry.ts";
import type { OutboxRow } from "../outbox-row.ts";
import type { Webhook } from "./webhook.ts";

/**
 * What is left to do when a job has been delivered and settled: its webhooks are notified. Each has a row of its own, so that an
 * address that does not answer keeps neither the job from its end nor its files on this disk, nor the other address waiting.
 */
export function webhookEntriesOf({ madeFor, webhookUrl, endpoint, ...entry }: OutboxEntry): readonly OutboxEntry[] {
  if (entry.forWebhook) return [];
  const row = { ...entry, ended: true, forWebhook: true, files: [], workFolder: "" };
  return [
    ...(webhookUrl === undefined ? [] : [{ ...row, webhookUrl }]),
    ...(endpoint === undefined ? [] : [{ ...row, webhookUrl: endpoint.url, endpoint }]),
  ];
}

/**
 * @param outbox that of the row, which has what is sent with it
 * @throws as `Webhook.sendBody` does
 */
export async function sendWebhook(
  webhook: Pick<Webhook, "send" | "sendBody">,
  outbox: Pick<Outbox, "payloadOf">,
  { id, entry }: Pick<OutboxRow, "id" | "entry">,
  files: ResultFiles,
  signal: AbortSignal,
): Promise<void> {
  const { webhookUrl: url = "", endpoint } = entry;
  if (endpoint === undefined) return webhook.send(url, entry.callback, entry.bucket, signal);
  // Few containers are called at an endpoint.
  const { endpointBody } = await import("./endpoint-body.ts");
  const body = await endpointBody(entry, endpoint, outbox.payloadOf(id), files);
  await webhook.sendBody(url, body, signal, { isEmulated: entry.callback.metadata.job_type === emulatedType });
}

/** Addresses of one host are away together. */
export function webhookHostOf({ webhookUrl = "" }: Pick<OutboxEntry, "webhookUrl">): string {
  return URL.parse(webhookUrl)?.host ?? "";
}
