import { z } from "zod";
import type { Job } from "#contract/job.ts";
import { emulatedType, requestIdOf, submissionOf } from "#runtime/endpoints/endpoint-job.ts";

/* The `webhook` of a request at an endpoint (`/v2/<endpoint>/run`): what of it is kept in the outbox. */
export const endpointWebhook = z.object({
  url: z.string(),
  requestId: z.string(),
  /** The container of an emulated endpoint that ran the job, by its own name. */
  takenBy: z.string().optional(),
});
export type EndpointWebhook = z.output<typeof endpointWebhook>;

/** What the receiver is sent beside the end: up to 20 MB each, so that it is kept apart from the row and read when it is sent. */
export const webhookPayload = z.object({
  /** As it is shown to the receiver. */
  input: z.record(z.string(), z.unknown()),
  /** What the container of an emulated endpoint has posted: its output is no result of ours; a failure may have none. */
  posted: z.object({ output: z.unknown().optional(), error: z.string().optional() }).optional(),
});
export type WebhookPayload = z.output<typeof webhookPayload>;

export interface NewEndpointWebhook {
  readonly endpoint: EndpointWebhook;
  readonly payload: WebhookPayload;
}

/**
 * Null for a job that did not come through an endpoint, or whose request named no address.
 * @param emulated of a job of an emulated endpoint: what its container has posted, and which that was
 */
export function endpointWebhookOf(
  job: Job,
  { posted, takenBy }: { readonly posted?: WebhookPayload["posted"]; readonly takenBy?: string | null },
): NewEndpointWebhook | null {
  const submission = submissionOf(job.metadata);
  if (submission === null || submission.webhook === null) return null;
  const endpoint = { url: submission.webhook, requestId: requestIdOf(job) };
  if (job.type === emulatedType)
    return {
      endpoint: { ...endpoint, ...(typeof takenBy === "string" ? { takenBy } : {}) },
      payload: { input: submission.input, ...(posted === undefined ? {} : { posted }) },
    };
  const { id, metadata, ...fields } = job;
  const { runpod, ...given } = metadata;
  return { endpoint, payload: { input: { ...fields, metadata: given } } };
}
