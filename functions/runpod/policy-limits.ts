import type { FieldProblem } from "#contract/job.ts";
import type { KeptSubmission } from "#runtime/endpoints/endpoint-job.ts";
import { defaultPolicy } from "./submission.ts";

/* The policy of a request at an endpoint as the limits of a job of ours, in its `config`. */

/** What the contract takes at most; a job of which nobody knows any more is not begun. */
const maxTimeoutSeconds = 86_400;

type Policy = Pick<KeptSubmission, "ttlMs" | "executionTimeoutMs">;

/** As far as the client has set some: without a policy, a job may take as long as its handler allows. */
export function limitsOf({ ttlMs, executionTimeoutMs }: Policy): Readonly<Record<string, number>> {
  const isLimited = executionTimeoutMs !== defaultPolicy.executionTimeoutMs;
  const seconds = Math.min(executionTimeoutMs / 1000, maxTimeoutSeconds);
  return { expires_in_seconds: ttlMs / 1000, ...(isLimited ? { timeout_seconds: seconds } : {}) };
}

/**
 * A problem of the job under the name that the client has sent, where it is of a limit that was made of the policy.
 * @param config the job's own, whose limits go before those of the policy
 */
export function inPolicysWords(
  problem: FieldProblem,
  policy: Policy,
  config: Readonly<Record<string, unknown>>,
): FieldProblem {
  const { field, value, message } = problem;
  const made = [
    { name: "timeout_seconds", as: "policy.executionTimeout", ms: policy.executionTimeoutMs },
    { name: "expires_in_seconds", as: "policy.ttl", ms: policy.ttlMs },
  ].find(({ name }) => field === `config.${name}` && !Object.hasOwn(config, name));
  if (made === undefined) return problem;
  const shown = value === undefined ? "" : ` of ${JSON.stringify(value)}`;
  return { field: made.as, value: made.ms, message: `makes a ${made.name}${shown}, which ${message}` };
}
