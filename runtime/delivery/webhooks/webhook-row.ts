import type { OutboxEntry } from "../outbox.ts";

/**
 * What is left to do when a job has been delivered and settled: its webhook is notified. A row of its own, so that an address
 * that does not answer keeps neither the job from its end nor its files on this disk. Null for a job without a webhook.
 */
export function webhookEntryOf(entry: OutboxEntry): OutboxEntry | null {
  if (entry.webhookUrl === undefined || entry.forWebhook) return null;
  const { madeFor, ...rest } = entry;
  return { ...rest, ended: true, forWebhook: true, files: [], workFolder: "" };
}

/** Addresses of one host are away together. */
export function webhookHostOf({ webhookUrl = "" }: Pick<OutboxEntry, "webhookUrl">): string {
  return URL.parse(webhookUrl)?.host ?? "";
}
