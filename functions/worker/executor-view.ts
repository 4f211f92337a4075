import { z } from "zod";
import type { ExecutorState, ExecutorStatus } from "#runtime/executor/parent/executor.ts";
import { residentBytes } from "#runtime/observe/process-memory.ts";
import { iso } from "../jobs/job-view.ts";

/*
 * An executor's state in the words of `/worker/status`:
 *
 *   starting     its process loads (for the first time, or after it was stopped)
 *   active       at rest, takes jobs
 *   busy         runs a job
 *   restarting   a restart that was asked for is under way, or its process died and is started again
 *   stopped      the container is shutting down
 */
const executorStatus = z.enum(["active", "starting", "busy", "restarting", "stopped"]);

export const executorView = z.object({
  status: executorStatus,
  /** Seconds since its process is ready; null while none is. */
  uptime: z.number().nullable(),
  /** Attempts that it has run to an end, whatever the end. */
  jobs_processed: z.number().int(),
  last_job_time: z.iso.datetime().nullable(),
  /** Resident bytes of its process; null while there is none. */
  memory_usage: z.number().int().nullable(),
  /** Attempts that failed, or that died with the process. */
  error_count: z.number().int(),
  /** Ends of its process that nobody had asked for. */
  restarts: z.number().int(),
  current_job: z.string().nullable(),
  /** Why its process cannot start, while it cannot. */
  start_error: z.string().nullable(),
});

const statusOf: Readonly<Record<ExecutorState, z.output<typeof executorStatus>>> = {
  starting: "starting",
  idle: "active",
  busy: "busy",
  waiting: "restarting",
  stopping: "stopped",
  stopped: "stopped",
};

export async function viewExecutor(status: ExecutorStatus, nowMs: number): Promise<z.output<typeof executorView>> {
  const { readySinceMs, lastJobAtMs, startError } = status;
  return {
    status: status.isRestarting ? "restarting" : statusOf[status.state],
    uptime: readySinceMs === null ? null : Math.max(0, (nowMs - readySinceMs) / 1000),
    jobs_processed: status.jobsProcessed,
    last_job_time: lastJobAtMs === null ? null : iso(lastJobAtMs),
    memory_usage: await memoryOf(status),
    error_count: status.errors,
    restarts: status.restarts,
    current_job: status.current?.jobId ?? null,
    start_error: startError?.message ?? null,
  };
}

/** What the system says now, else what the process itself said after its last job. */
export async function memoryOf({
  pid,
  memoryBytes,
}: Pick<ExecutorStatus, "pid" | "memoryBytes">): Promise<number | null> {
  return (await residentBytes(pid)) ?? memoryBytes;
}
