import { bucketOf, type Job } from "#contract/job.ts";
import type { Lease } from "#runtime/sources/job-source.ts";
import { type FinalSettlement, finalCallback } from "./callbacks/build-callback.ts";
import type { Destination } from "./destination.ts";
import type { NewEntry } from "./outbox-entry.ts";
import { endpointWebhookOf, type NewEndpointWebhook, type WebhookPayload } from "./webhooks/endpoint-webhook.ts";

/* What is written into the outbox at the end of a job. */
export interface EntryMaker {
  readonly workerId: string;
  readonly nowMs: number;
  readonly madeFor: Destination;
}

/** A job that is at its end, which the app has not heard of. */
export interface EndedJob
  extends Pick<Lease, "jobId" | "job" | "run" | "attempt">,
    Partial<Pick<Lease, "queuedAtMs" | "takenAtMs" | "requestId">> {
  /** That of the lease under which it ran here; empty when it did not. */
  readonly token: string;
  /** How long its attempt here ran; null when none did. */
  readonly ranMs: number | null;
  readonly settlement: Extract<FinalSettlement, { kind: "fail" | "cancelled" }>;
}

export interface FinishFacts {
  /** How long the attempt ran; null when none did. */
  readonly ranMs: number | null;
  readonly workFolder: string;
  /** What the container of an emulated endpoint has posted. */
  readonly posted?: WebhookPayload["posted"];
  /** That container. */
  readonly takenBy?: string | null;
}

/** Of an attempt that has ended its job here. */
export function finishedEntry(
  { workerId, nowMs, madeFor }: EntryMaker,
  source: string,
  lease: Lease,
  settlement: FinalSettlement,
  facts: FinishFacts,
): NewEntry {
  return {
    source,
    lease: { jobId: lease.jobId, token: lease.token, attempt: lease.attempt, run: lease.run },
    ended: false,
    forWebhook: false,
    madeFor,
    ...webhooksOf(lease.job, facts),
    bucket: bucketOf(lease.job),
    userId: lease.job.user_id,
    settlement: settlement.kind === "fail" ? { kind: "fail", error: settlement.error } : { kind: settlement.kind },
    files: settlement.kind === "complete" ? [...settlement.assets] : [],
    callback: finalCallback({ lease, workerId, nowMs, ranMs: facts.ranMs }, settlement),
    workFolder: facts.workFolder,
  };
}

/** Of a job that its source has brought to its end. */
export function endedEntry(
  { workerId, nowMs, madeFor }: EntryMaker,
  source: string,
  { job, token, ranMs, settlement, ...lease }: EndedJob,
): NewEntry {
  return {
    source,
    lease: { jobId: lease.jobId, token, attempt: lease.attempt, run: lease.run },
    ended: true,
    forWebhook: false,
    madeFor,
    ...webhooksOf(job),
    bucket: bucketOf(job),
    userId: job.user_id,
    settlement,
    files: [],
    callback: finalCallback({ lease: { ...lease, job }, workerId, nowMs, ranMs }, settlement),
    workFolder: "",
  };
}

function webhooksOf(
  job: Job,
  emulated: Pick<FinishFacts, "posted" | "takenBy"> = {},
): Partial<NewEndpointWebhook> & Pick<NewEntry, "webhookUrl"> {
  const { webhook_url: url } = job;
  return { ...(typeof url === "string" ? { webhookUrl: url } : {}), ...endpointWebhookOf(job, emulated) };
}
