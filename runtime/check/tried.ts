import type { checkSubjects } from "#contract/check-subjects.ts";
import { toErrorReport } from "#contract/errors.ts";

export type Subject = (typeof checkSubjects)[number];

/** One thing that was tried. A warning does not keep a container from running. */
export interface Check {
  readonly subject: Subject;
  readonly name: string;
  readonly status: "ok" | "warning" | "failed";
  /** What was found, or what is wrong and what to do. */
  readonly message: string;
}

interface Found<Value> {
  readonly value: Value;
  readonly message: string;
  readonly isWarning?: boolean;
}

/** Adds the check's outcome; null when it failed. */
export async function tried<Value>(
  checks: Check[],
  subject: Subject,
  name: string,
  body: () => Promise<Found<Value>>,
): Promise<Value | null> {
  try {
    const { value, message, isWarning = false } = await body();
    checks.push({ subject, name, status: isWarning ? "warning" : "ok", message });
    return value;
  } catch (error) {
    checks.push({ subject, name, status: "failed", message: toErrorReport(error).message });
    return null;
  }
}
