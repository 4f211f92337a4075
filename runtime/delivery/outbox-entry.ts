import { z } from "zod";
import { jobCallback } from "#contract/callback.ts";
import { assetFile, errorReport } from "#runtime/executor/protocol.ts";
import { destination } from "./destination.ts";
import { endpointWebhook, type WebhookPayload } from "./webhooks/endpoint-webhook.ts";

/*
 * What is written into the outbox of a job's end: all that its delivery needs, so that any process on the data folder can go on
 * with it. Versions follow each other on a folder: a field that was added later has a default, or may be absent.
 *
 * There are three kinds, told apart by two flags:
 *   a result, or the failure, of an attempt here   its lease is kept: files → callback → settle
 *   `ended`: its source knows the end already      no lease, no files: callback → the source is notified that it is here
 *   `ended` and `forWebhook`                       what is left when one of the others is delivered: one webhook
 */
export const outboxEntry = z.object({
  source: z.string(),
  lease: z.object({ jobId: z.string(), token: z.string(), attempt: z.number(), run: z.number().default(1) }),
  /** The source knows the job's end: there is no lease to keep and nothing to settle, only the callback to be sent. */
  ended: z.boolean().default(false),
  /** Where the result was to go when it was made; rows of earlier versions do not say. */
  madeFor: destination.optional(),
  /** Where the job's end is reported to, beside the app, when it is delivered and settled. */
  webhookUrl: z.string().optional(),
  /** Beside that, the address in the request of an endpoint, which is notified in RunPod's words. */
  endpoint: endpointWebhook.optional(),
  /** Nothing but the webhook is left to be notified. */
  forWebhook: z.boolean().default(false),
  bucket: z.string(),
  userId: z.string(),
  settlement: z.discriminatedUnion("kind", [
    z.object({ kind: z.literal("complete") }),
    z.object({ kind: z.literal("fail"), error: errorReport }),
    z.object({ kind: z.literal("cancelled") }),
  ]),
  files: z.array(assetFile),
  callback: jobCallback,
  workFolder: z.string(),
});
export type OutboxEntry = z.output<typeof outboxEntry>;

/** As it is recorded. */
export interface NewEntry extends OutboxEntry {
  /** What the address in the request of an endpoint is sent: the outbox keeps it apart. */
  readonly payload?: WebhookPayload;
}

/**
 * By which an entry is known, and recorded once: one row a lease; one a run for a job that ended without one, however often that
 * end is heard of, and for each of its webhooks.
 */
export function keyOf({ ended, forWebhook, endpoint, lease }: OutboxEntry): string {
  if (forWebhook) return `${endpoint ? "endpoint" : "webhook"}/${lease.jobId}/${lease.run}`;
  return ended ? `end/${lease.jobId}/${lease.run}` : lease.token;
}

/** The job whose end has this key; null for the key of a lease, which does not say it. */
export function jobOfKey(key: string): string | null {
  return /^(?:end|webhook|endpoint)\/(.+)\/\d+$/.exec(key)?.[1] ?? null;
}
