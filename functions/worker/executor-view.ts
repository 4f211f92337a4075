import type { z } from "zod";
import type { ExecutorState, ExecutorStatus } from "#runtime/executor/parent/executor.ts";
import { residentBytes } from "#runtime/observe/process-memory.ts";
import type { executorStatus, executorView } from "../api/schemas/worker-views.ts";
import { iso } from "../jobs/job-view.ts";

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

/** What the system reports now, else what the process itself reported after its last job. */
export async function memoryOf({
  pid,
  memoryBytes,
}: Pick<ExecutorStatus, "pid" | "memoryBytes">): Promise<number | null> {
  return (await residentBytes(pid)) ?? memoryBytes;
}
