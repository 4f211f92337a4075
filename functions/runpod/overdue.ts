import { submissionOf } from "#runtime/endpoints/endpoint-job.ts";
import type { Lease } from "#runtime/sources/job-source.ts";
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
