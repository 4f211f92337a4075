import { z } from "zod";
import type { Job } from "#contract/job.ts";
import { emulatedType, requestIdOf, submissionOf } from "#runtime/endpoints/endpoint-job.ts";

/* The `webhook` of a request at an endpoint (`/v2/<endpoint>/run`): what of it is kept in the outbox. */
export const endpointWebhook = z.object({
  url: z.string(),
  requestId: z.string(),
  /** As it is shown to the receiver. */
  input: z.record(z.string(), z.unknown()),
  /** What the container of an emulated endpoint has posted: its output is no result of ours; a failure may have none. */
  posted: z.object({ output: z.unknown().optional(), error: z.string().optional() }).optional(),
  /** The container of an emulated endpoint that ran the job, by its own name. */
  takenBy: z.string().optional(),
});
export type EndpointWebhook = z.output<typeof endpointWebhook>;

/** Undefined for a job that did not come through an endpoint, or whose request named no address. */
export function endpointWebhookOf(
  job: Job,
  emulated: Pick<EndpointWebhook, "posted" | "takenBy">,
): EndpointWebhook | undefined {
  const submission = submissionOf(job.metadata);
  if (submission === null || submission.webhook === null) return undefined;
  const to = { url: submission.webhook, requestId: requestIdOf(job) };
  if (job.type === emulatedType) return { ...to, input: submission.input, ...emulated };
  const { id, metadata, ...fields } = job;
  const { runpod, ...given } = metadata;
  return { ...to, input: { ...fields, metadata: given } };
}
