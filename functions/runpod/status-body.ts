import { emulatedType, failedStatus, requestIdOf } from "#runtime/endpoints/endpoint-job.ts";
import { type RequestFields, type RunpodStatus, requestFields } from "#runtime/endpoints/request-fields.ts";
import type { JobRecord, JobStatus } from "#runtime/sources/job-source.ts";
import { isSettled } from "#runtime/sources/job-source.ts";
import type { LiveJob } from "./live-jobs.ts";

export interface StatusBody extends RequestFields {
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
 * @param settled the output of one that has ended
 * @param failure of one that has failed, in place of its record's sentence
 */
export function statusBody(
  record: JobRecord,
  live: LiveJob | undefined,
  settled: unknown,
  failure?: string,
): StatusBody {
  const { job, createdAtMs, startedAtMs, settledAtMs } = record;
  const status = statusOf(record);
  const output = isSettled(record.status) ? settled : progressOf(record, live);
  const hasFailed = status === "FAILED" || status === "TIMED_OUT";
  const error = hasFailed ? (live?.error ?? failure ?? record.error?.message) : undefined;
  const fields = requestFields({
    id: requestIdOf(job),
    status,
    waitedMs: startedAtMs === null ? null : startedAtMs - createdAtMs,
    ranMs: startedAtMs === null || settledAtMs === null ? null : settledAtMs - startedAtMs,
    workerId: workerIdOf(record, live),
    output,
    ...(error === undefined ? {} : { error }),
  });
  return live !== undefined && live.retries > 0 ? { ...fields, retries: live.retries } : fields;
}

/** Who ran a job of an emulated endpoint its source does not know: it knows the emulator. */
function workerIdOf({ job, attempts, result }: JobRecord, live: LiveJob | undefined): string | null {
  if (typeof live?.workerId === "string") return live.workerId;
  const noted = result?.metadata.container;
  if (job.type === emulatedType) return typeof noted === "string" ? noted : null;
  return attempts.at(-1)?.workerId ?? null;
}

function progressOf({ status, progress }: JobRecord, live: LiveJob | undefined): unknown {
  if (status !== "running") return undefined;
  return live?.progress ?? (progress === null ? undefined : { progress });
}
