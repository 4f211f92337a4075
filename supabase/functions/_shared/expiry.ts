import { z } from "zod";
import { fromDecimal } from "./decimal.ts";
import type { ErrorReport } from "./errors.ts";

type WithConfig = { readonly config: Readonly<Record<string, unknown>> };

/** 30 days. */
const maxExpirySeconds = 30 * 24 * 60 * 60;
const rule = "must be a number above 0 and at most 2,592,000 (30 days)";

/** `config.expires_in_seconds` of a job of any type: how long it may wait, from its creation or its redrive. */
export const expiresInSeconds = z.preprocess(fromDecimal, z.number(rule).positive(rule).max(maxExpirySeconds, rule));

const momentRule = 'must be a moment with its offset from UTC, such as "2026-12-01T12:00:00Z"';

/** `config.expires_at` of a job of any type: from when on nobody wants it run. The queue's scripts read the same form. */
export const expiresAt = z.iso
  .datetime({ offset: true, error: momentRule })
  .regex(/^.{10}T\d\d:\d\d:\d\d(\.\d{1,9})?[-+Z]/, momentRule);

const runRule = "must be a number above 0 and at most 86,400 (a day)";

/** `config.timeout_seconds` of a job of any type: how long one attempt of it may run, where its handler allows more. */
export const timeoutSeconds = z.preprocess(fromDecimal, z.number(runRule).positive(runRule).max(86_400, runRule));

/** Null for a job that may run as long as its handler allows. */
export function timeoutSecondsOf({ config }: WithConfig): number | null {
  return timeoutSeconds.safeParse(config.timeout_seconds).data ?? null;
}

/** Null for a job that may wait without end. */
export function expirySecondsOf({ config }: WithConfig): number | null {
  return expiresInSeconds.safeParse(config.expires_in_seconds).data ?? null;
}

/** Milliseconds since 1970; null for a job that names no moment. */
export function expiryMomentOf({ config }: WithConfig): number | null {
  const moment = expiresAt.safeParse(config.expires_at).data;
  return moment === undefined ? null : Date.parse(moment);
}

/** When a job expires that begins to wait at `sinceMs`: by its own moment or its own time, whichever is first. Null: never. */
export function expiryMsOf(job: WithConfig, sinceMs: number): number | null {
  const seconds = expirySecondsOf(job);
  const waited = seconds === null ? null : sinceMs + Math.ceil(seconds * 1000);
  const moment = expiryMomentOf(job);
  if (waited === null || moment === null) return waited ?? moment;
  return Math.min(waited, moment);
}

/**
 * What is wrong with a new job whose moment is over, null when it is not. A request that may be a repeat (it names its job, or
 * has a key) is not held to that: it finds the job that it made, and a new one ends at once with EXPIRED.
 */
export function overdueProblem(job: WithConfig, nowMs: number) {
  const moment = expiryMomentOf(job);
  if (moment === null || moment > nowMs) return null;
  const message = `must be later than now, ${new Date(nowMs).toISOString()}`;
  return { field: "config.expires_at", value: job.config.expires_at, message };
}

/**
 * @param dueMs when the job expired
 * @param need what the job needed that no container offered, where that is known
 */
export function expiredError(
  job: WithConfig,
  dueMs: number,
  need: { readonly type: string; readonly model: string | null } | null = null,
): ErrorReport {
  const moment = expiryMomentOf(job);
  const limit =
    moment !== null && moment <= dueMs
      ? "still waited when its own moment had come (config.expires_at)"
      : `waited longer than its own limit of ${expirySecondsOf(job)} s (config.expires_in_seconds)`;
  const what = need === null ? "" : ` It needed ${described(need)}, which no container offered.`;
  return { code: "EXPIRED", message: `The job ${limit}.${what}` };
}

function described({ type, model }: { readonly type: string; readonly model: string | null }): string {
  return model === null ? `the job type ${type}` : `the job type ${type} with the model ${model}`;
}
