import { submissionOf } from "#runtime/endpoints/endpoint-job.ts";
import type { Lease } from "#runtime/sources/job-source.ts";
import type { KeptJob } from "./kept-jobs.ts";
import { defaultPolicy } from "./submission.ts";

/**
 * Why a job of an endpoint was stopped: which of its two limits is over, what it is, and whether the client has set it.
 * @param times how long the job has run, and the time of the clock by which it was queued
 */
export function overdueText(
  { job, queuedAtMs }: Pick<Lease, "job" | "queuedAtMs">,
  { ranMs, nowMs }: { readonly ranMs: number; readonly nowMs: number },
): string {
  const { executionTimeoutMs, ttlMs } = submissionOf(job.metadata) ?? defaultPolicy;
  if (ttlMs - (nowMs - queuedAtMs) < executionTimeoutMs - ranMs) {
    return `The job had not ended when its time from the submission was over (${limitText("ttl", ttlMs)}).`;
  }
  return `The job ran longer than it may (${limitText("executionTimeout", executionTimeoutMs)}).`;
}

const defaults = { executionTimeout: defaultPolicy.executionTimeoutMs, ttl: defaultPolicy.ttlMs } as const;

function limitText(name: keyof typeof defaults, ms: number): string {
  const value = `${name} ${ms} ms`;
  return ms === defaults[name] ? `${value}, the default: set policy.${name} with the request` : value;
}

/** How long the job has run. */
export function ranMs({ takenAtMs }: Pick<KeptJob, "takenAtMs">, nowMs: number): number {
  return Math.max(0, nowMs - takenAtMs);
}

/** Until its time is over: that since its take, or that since it was submitted. */
export function leftMs(kept: Pick<KeptJob, "lease" | "takenAtMs">, nowMs: number): number {
  const { job, queuedAtMs } = kept.lease;
  const submission = submissionOf(job.metadata);
  const ofRunMs = (submission?.executionTimeoutMs ?? 0) - ranMs(kept, nowMs);
  const ofAllMs = (submission?.ttlMs ?? 0) - (nowMs - queuedAtMs);
  return Math.max(0, Math.min(ofRunMs, ofAllMs));
}
