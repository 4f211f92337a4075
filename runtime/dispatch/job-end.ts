import type { ErrorReport } from "#contract/errors.ts";
import type { Metrics } from "#runtime/observe/metrics/metrics.ts";
import type { JobEvents } from "./job-events.ts";

/** The end of a job, whoever brought it about. */
export interface JobEnd {
  readonly jobId: string;
  readonly type: string;
  /** 0 when it never ran. */
  readonly attempt: number;
  readonly status: "completed" | "failed" | "cancelled";
  readonly error?: ErrorReport;
}

/** What follows from every end, once: the last event of its job, and its place in the metrics. */
export function publishEnd(
  { events, metrics }: { readonly events: JobEvents; readonly metrics: Metrics },
  { jobId, type, attempt, status, error }: JobEnd,
): void {
  metrics.jobs.add({ type, outcome: status });
  events.emit(jobId, { kind: "state", status, attempt, ...(error === undefined ? {} : { error }) });
}
