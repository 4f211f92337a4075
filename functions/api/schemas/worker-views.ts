import { z } from "zod";

/*
 * An executor's state in the words of `/worker/status`:
 *
 *   starting     its process loads (for the first time, or after it was stopped)
 *   active       at rest, takes jobs
 *   busy         runs a job
 *   restarting   a requested restart is under way, or its process died and is started again
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
  /** Ends of its process that nobody had requested. */
  restarts: z.number().int(),
  current_job: z.string().nullable(),
  /** Why its process cannot start, while it cannot. */
  start_error: z.string().nullable(),
});

/** Calls of a worker's handlers, by other handlers and over HTTP, which go before the jobs on its queue. */
export const callsView = z.object({
  running: z
    .object({
      type: z.string(),
      /** The calling job's type; "http" without one. */
      caller: z.string(),
      seconds: z.number(),
      /** Of a language model: tokens. */
      steps: z.number().int(),
      /** It was answered already (a time-out, a caller that left), and its handler is to stop. */
      stopping: z.boolean(),
    })
    .nullable(),
  waiting: z.number().int(),
  /** Those that had no turn since the container started: the line was full, or they waited too long. */
  refused: z.number().int(),
});

/** What a worker runs now: a job of one of `types` that names one of `models`, or of `default_model_types` when it names none. */
export const offerView = z.object({
  types: z.array(z.string()),
  default_model_types: z.array(z.string()),
  models: z.array(z.string()),
});

/** What a container does not run now, for whoever may ask: no more than what it is about. */
export const limitView = z.object({
  /** "unknown" for a handler's file that does not say whose it is. */
  worker: z.string(),
  kind: z.enum(["type", "model", "worker"]),
  /** The job type, the model or the worker. */
  subject: z.string(),
  code: z.string(),
  since: z.iso.datetime(),
});

export const conditionView = limitView.extend({
  message: z.string(),
  /** When it is tried again; null: when what it is about has changed. */
  next_look: z.iso.datetime().nullable(),
  /** A model that was never here, which is no fault: its jobs are left to other containers. */
  absent: z.boolean(),
  /** `probing`: jobs are taken again, and the first that goes well ends it. */
  state: z.enum(["active", "probing"]),
});

/** Jobs of one user and type that others do not wait for. */
export const quarantineView = z.object({
  user_id: z.string(),
  type: z.string(),
  /** Since the last job of theirs that went well. */
  failures: z.number().int(),
  code: z.string(),
  message: z.string(),
  since: z.iso.datetime(),
  /** Until when their jobs are put back; null: while none has come up, and when one may be tried. */
  until: z.iso.datetime().nullable(),
});

/** Whether jobs are taken, and how many run. */
export const dispatcherView = z.object({
  status: z.enum(["starting", "running", "paused", "stopped"]),
  active_jobs: z.number().int(),
});

/** Memory in bytes, utilization in percent, temperature in degrees Celsius; null where the driver does not report it. */
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
