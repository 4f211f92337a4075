import { z } from "zod";
import { fromDecimal } from "./decimal.ts";
import type { ErrorReport } from "./errors.ts";

/** 30 days. */
const maxExpirySeconds = 30 * 24 * 60 * 60;
const rule = "must be a number above 0 and at most 2,592,000 (30 days)";

/** `config.expires_in_seconds` of a job of any type: how long it may wait, from its creation or its redrive. */
export const expiresInSeconds = z.preprocess(fromDecimal, z.number(rule).positive(rule).max(maxExpirySeconds, rule));

const runRule = "must be a number above 0 and at most 86,400 (a day)";

/** `config.timeout_seconds` of a job of any type: how long one attempt of it may run, where its handler allows more. */
export const timeoutSeconds = z.preprocess(fromDecimal, z.number(runRule).positive(runRule).max(86_400, runRule));

/** Null for a job that may run as long as its handler allows. */
export function timeoutSecondsOf({ config }: { readonly config: Readonly<Record<string, unknown>> }): number | null {
  return timeoutSeconds.safeParse(config.timeout_seconds).data ?? null;
}

/** Null for a job that may wait without end. */
export function expirySecondsOf({ config }: { readonly config: Readonly<Record<string, unknown>> }): number | null {
  return expiresInSeconds.safeParse(config.expires_in_seconds).data ?? null;
}

/** @param need what the job needed that no container offered, where that is known */
export function expiredError(
  seconds: number,
  need: { readonly type: string; readonly model: string | null } | null = null,
): ErrorReport {
  const what = need === null ? "" : ` It needed ${described(need)}, which no container offered.`;
  return {
    code: "EXPIRED",
    message: `The job waited longer than its own limit of ${seconds} s (config.expires_in_seconds).${what}`,
  };
}

function described({ type, model }: { readonly type: string; readonly model: string | null }): string {
  return model === null ? `the job type ${type}` : `the job type ${type} with the model ${model}`;
}
