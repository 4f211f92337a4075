import { z } from "zod";
import { CodedError } from "#contract/errors.ts";
import { describeProblems, parseWith } from "#contract/problems.ts";
import type { KeptSubmission } from "#runtime/endpoints/endpoint-job.ts";

/* What comes in at /run and /runsync of an endpoint. */

const week = 7 * 24 * 60 * 60 * 1000;
const anyObject = z.record(z.string(), z.unknown());

const milliseconds = (least: number) => {
  const rule = `must be a number of milliseconds from ${least} to ${week} (7 days)`;
  return z.number(rule).min(least, rule).max(week, rule);
};

const policy = z.looseObject({
  /** From the moment that a container has taken the job. */
  executionTimeout: milliseconds(5_000).optional(),
  /** From its submission, the wait and the run together: then it is deleted. */
  ttl: milliseconds(10_000).optional(),
  lowPriority: z.boolean("must be true or false").optional(),
});

const request = z.looseObject({
  input: z.record(z.string(), z.unknown(), "must be there, and be an object"),
  webhook: z.url({ protocol: /^https?$/, error: "must be an http(s) address" }).nullish(),
  s3Config: anyObject.nullish(),
  policy: policy.nullish(),
});

export const defaultPolicy = { executionTimeoutMs: 600_000, ttlMs: 86_400_000 } as const;

/** @throws CodedError INVALID_REQUEST naming every field that is wrong */
export function readSubmission(endpoint: string, idForm: "run" | "runsync", body: unknown): KeptSubmission {
  const parsed = parseWith(request, body);
  if (!parsed.ok) throw new CodedError("INVALID_REQUEST", `${describeProblems(parsed.problems)}.`);
  const { input, webhook, policy: given, s3Config } = parsed.value;
  return {
    endpoint,
    idForm,
    input,
    rest: { ...(s3Config ? { s3Config } : {}), ...(webhook ? { webhook } : {}) },
    webhook: webhook ?? null,
    executionTimeoutMs: given?.executionTimeout ?? defaultPolicy.executionTimeoutMs,
    ttlMs: given?.ttl ?? defaultPolicy.ttlMs,
  };
}
