import { failedStatus, requestIdOf } from "#runtime/endpoints/endpoint-job.ts";
import type { JobRecord, JobStatus } from "#runtime/sources/job-source.ts";
import { isSettled } from "#runtime/sources/job-source.ts";
import type { LiveJob } from "./live-jobs.ts";

/* A job as RunPod's clients read it. */
export type RunpodStatus = "IN_QUEUE" | "IN_PROGRESS" | "COMPLETED" | "FAILED" | "CANCELLED" | "TIMED_OUT";

export interface StatusBody {
  readonly id: string;
  readonly status: RunpodStatus;
  /** Milliseconds in the queue. */
  readonly delayTime?: number;
  /** Milliseconds from the take to the end. */
  readonly executionTime?: number;
  readonly workerId?: string;
  /** While the job runs, the progress as its container reported it last. */
  readonly output?: unknown;
  readonly error?: string;
  readonly retries?: number;
}

const names: Readonly<Record<JobStatus, RunpodStatus>> = {
  queued: "IN_QUEUE",
  running: "IN_PROGRESS",
  completed: "COMPLETED",
  failed: "FAILED",
  cancelled: "CANCELLED",
};

export function statusOf({
  status,
  error,
  cancelRequested,
}: Pick<JobRecord, "status" | "error" | "cancelRequested">): RunpodStatus {
  if (status === "failed") return failedStatus(error);
  // For who has cancelled it, it is: that its container has yet to stop is nothing to wait for.
  if (status === "running" && cancelRequested) return "CANCELLED";
  return names[status];
}

export function isFinal(status: RunpodStatus): boolean {
  return status !== "IN_QUEUE" && status !== "IN_PROGRESS";
}

/**
 * @param output of one that has completed
 * @param failure of one that has failed, in place of its record's sentence
 */
export function statusBody(
  record: JobRecord,
  live: LiveJob | undefined,
  output: unknown,
  failure?: string,
): StatusBody {
  const { createdAtMs, startedAtMs, settledAtMs } = record;
  const status = statusOf(record);
  const workerId = live?.workerId ?? record.attempts.at(-1)?.workerId;
  const shown = isSettled(record.status) ? output : progressOf(record, live);
  const hasFailed = status === "FAILED" || status === "TIMED_OUT";
  const error = hasFailed ? (live?.error ?? failure ?? record.error?.message) : undefined;
  return {
    id: requestIdOf(record.job),
    status,
    ...(startedAtMs === null ? {} : { delayTime: Math.max(0, startedAtMs - createdAtMs) }),
    ...(startedAtMs === null || settledAtMs === null ? {} : { executionTime: Math.max(0, settledAtMs - startedAtMs) }),
    ...(workerId === undefined ? {} : { workerId }),
    ...(shown === undefined ? {} : { output: shown }),
    ...(error === undefined ? {} : { error }),
    ...(live !== undefined && live.retries > 0 ? { retries: live.retries } : {}),
  };
}

function progressOf({ status, progress }: JobRecord, live: LiveJob | undefined): unknown {
  if (status !== "running") return undefined;
  return live?.progress ?? (progress === null ? undefined : { progress });
}
