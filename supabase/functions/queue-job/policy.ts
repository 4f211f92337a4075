import { defaultPolicy } from "../_shared/policy/default-policy.ts";
import type { Policy } from "../_shared/policy/policy.ts";

const standard = defaultPolicy({ limits: { waiting: 20, perMinute: 30, enhancementsPerMinute: 20 } });

/**
 * What this app decides about its users' jobs, and about prompts that are to be enhanced. The standard rules come first;
 * an app adds its own after them, and ends one with `refuse("name of the rule", "a sentence for the user")`.
 */
export const policy: Policy = {
  limits(request) {
    return standard.limits(request);
  },
  async check(request) {
    await standard.check(request);
  },
};
