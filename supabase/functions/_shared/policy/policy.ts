import { CodedError } from "../errors.ts";
import type { Job } from "../job.ts";

/** What an app decides about a job before it is enqueued. The app's own is `queue-job/policy.ts`. */
export interface Policy {
  /**
   * Looks at a job of a signed-in user.
   *
   * @throws CodedError to refuse it: `refuse(…)`, or any other code
   */
  check(request: PolicyRequest): void | Promise<void>;
  /** How much the user may ask for, who may have a plan of their own. */
  limits(request: PolicyRequest): UserLimits;
}

export interface PolicyRequest {
  readonly userId: string;
  /** Of the user's token: `app_metadata` says what the app has decided about the user, such as a plan. */
  readonly claims: Readonly<Record<string, unknown>>;
  readonly job: Job;
}

export interface UserLimits {
  /** Jobs of one user that may wait at the same time. */
  readonly waiting: number;
  /** Jobs of one user in a minute. */
  readonly perMinute: number;
  /** Prompts of one user that are enhanced in a minute. */
  readonly enhancementsPerMinute: number;
}

/** Ends a check: the job is not enqueued, and its user is told why. */
export function refuse(rule: string, message: string): never {
  throw new CodedError("POLICY_REFUSED", message, { details: { rule } });
}
