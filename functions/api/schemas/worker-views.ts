import { z } from "zod";

/*
 * An executor's state in the words of `/worker/status`:
 *
 *   starting     its process loads (for the first time, or after it was stopped)
 *   active       at rest, takes jobs
 *   busy         runs a job
 *   restarting   a restart that was asked for is under way, or its process died and is started again
 *   stopped      the container is shutting down
 */
export const executorStatus = z.enum(["active", "starting", "busy", "restarting", "stopped"]);

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

/** Whether jobs are taken, and how many run. */
export const dispatcherView = z.object({
  status: z.enum(["running", "paused", "stopped"]),
  active_jobs: z.number().int(),
});

/** Memory in bytes, utilization in percent, temperature in degrees Celsius; null where the driver does not tell. */
export const gpuView = z
  .object({
    name: z.string(),
    memory_total: z.number().int().nullable(),
    memory_used: z.number().int().nullable(),
    memory_free: z.number().int().nullable(),
    utilization: z.number().nullable(),
    temperature: z.number().nullable(),
  })
  .meta({ id: "Gpu" });
