import { CodedError } from "../errors.ts";
import type { Job } from "../job.ts";
import { createMinorsRule } from "./minors.ts";
import { type Policy, refuse, type UserLimits } from "./policy.ts";
import { defaultTerms, type MinorsTerms } from "./terms.ts";
import { textsOf } from "./texts.ts";

export interface DefaultPolicyOptions {
  readonly limits: UserLimits;
  /** Of all texts of a job together. */
  readonly maxCharacters: number;
  /** Users may not push their jobs before those of others. */
  readonly highestPriority: number;
  /** Buckets besides that of the job's type into which users may have their files put. */
  readonly buckets: readonly string[];
  readonly terms: MinorsTerms;
}

const defaultLimits: UserLimits = { waiting: 20, perMinute: 30, enhancementsPerMinute: 20 };

/** The policy of an app that has not said otherwise. */
export function defaultPolicy(options: Partial<DefaultPolicyOptions> = {}): Policy {
  const { limits = defaultLimits, maxCharacters = 24_000, highestPriority = 0, buckets = [] } = options;
  const isRefused = createMinorsRule(options.terms ?? defaultTerms);
  return {
    limits: () => limits,
    check({ job }) {
      const texts = textsOf(job);
      const characters = [...texts.wanted, ...texts.unwanted].reduce((sum, text) => sum + text.length, 0);
      if (characters > maxCharacters) {
        const limit = maxCharacters.toLocaleString("en-US");
        throw new CodedError(
          "BODY_TOO_LARGE",
          `The job's texts have ${characters} characters: at most ${limit} are taken.`,
        );
      }
      if (isRefused(texts)) {
        refuse("minors", "This request is refused: it names minors together with sexual content.");
      }
      if (job.priority > highestPriority) {
        refuse("priority", `priority is ${job.priority}: must be at most ${highestPriority}.`);
      }
      checkBucket(job, buckets);
    },
  };
}

function checkBucket({ bucket, type }: Job, others: readonly string[]): void {
  if (bucket === undefined || bucket === type || others.includes(bucket)) return;
  refuse("bucket", `bucket is "${bucket}": leave it out, the app decides where files go.`);
}
