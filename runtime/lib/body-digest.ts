import { hash } from "node:crypto";
import type { Job } from "#contract/job.ts";

/**
 * Compares what two jobs request: without id, run and the producer's time stamp, which differ when a job is sent
 * again, and whatever the order of their keys.
 */
export function bodyDigest(job: Job): string {
  const { id, created_at, run, ...body } = job;
  return hash("sha256", JSON.stringify(body, sortedKeys), "base64url");
}

function sortedKeys(_key: string, value: unknown): unknown {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(Object.entries(value).toSorted(([left], [right]) => (left < right ? -1 : 1)));
}
