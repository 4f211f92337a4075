import type { MetricsRegistry } from "./registry.ts";

/*
 * Everything that is recorded when it happens. The parts of the runtime are given this object, or the few instruments of
 * it that they record with.
 */
export type Metrics = ReturnType<typeof createMetrics>;

/** How an attempt ended here; `lost`: another container has the job. */
export type AttemptEnding = "completed" | "failed" | "retried" | "cancelled" | "released" | "lost";

/** What should wake somebody: it does not get better by itself. */
export const alarms = [
  "callback_refused",
  "callback_given_up",
  "webhook_refused",
  "webhook_given_up",
  "storage_refused",
  "asset_refused",
  "over_quota",
  "full",
  "access_refused",
] as const;
export type Alarm = (typeof alarms)[number];

/** From an instant pick-up to the longest video. */
const jobSeconds = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30, 60, 120, 300, 600, 1200];
const requestSeconds = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];

export function createMetrics(registry: MetricsRegistry) {
  const metrics = {
    ...jobMetrics(registry),
    ...modelMetrics(registry),
    ...callMetrics(registry),
    ...deliveryMetrics(registry),
    ...troubleMetrics(registry),
    ...httpMetrics(registry),
    ...loopMetrics(registry),
  };
  // An alert on an increase does not see a counter that comes into being with its first event.
  for (const alarm of alarms) metrics.alarms.add({ alarm }, 0);
  for (const type of registry.jobTypes) metrics.jobs.add({ type, outcome: "failed" }, 0);
  return metrics;
}

function jobMetrics(registry: MetricsRegistry) {
  return {
    jobs: registry.counter({
      name: "ourvidz_jobs_total",
      help: "Jobs that this container brought to their end: delivered and settled as completed, failed or cancelled.",
      labels: ["type", "outcome"],
    }),
    attempts: registry.counter({
      name: "ourvidz_job_attempts_total",
      help: "Attempts that ended here: completed, failed, retried, cancelled, released (given back uncharged) or lost.",
      labels: ["type", "outcome"],
    }),
    queueWaitSeconds: registry.histogram({
      name: "ourvidz_job_queue_wait_seconds",
      help: "Time from when a job was due until it was taken.",
      labels: ["type"],
      buckets: jobSeconds,
    }),
    runSeconds: registry.histogram({
      name: "ourvidz_job_run_seconds",
      help: "Time that an attempt ran, model load included, by how it ended.",
      labels: ["type", "outcome"],
      buckets: jobSeconds,
    }),
    leasesLost: registry.counter({
      name: "ourvidz_leases_lost_total",
      help: "Leases that this container held and another one took over.",
      labels: ["source"],
    }),
  };
}

function modelMetrics(registry: MetricsRegistry) {
  return {
    stageSeconds: registry.histogram({
      name: "ourvidz_job_stage_seconds",
      help: "Time of one stage of an attempt (load, encode, denoise, …), as its handler reports it.",
      labels: ["type", "stage"],
      buckets: jobSeconds,
    }),
    modelLoadSeconds: registry.histogram({
      name: "ourvidz_model_load_seconds",
      help: "Time that a job waited for its model to load; its count is the number of loads.",
      labels: ["worker", "model"],
      buckets: jobSeconds,
    }),
    modelSwitches: registry.counter({
      name: "ourvidz_model_switches_total",
      help: "Loads for which another model had to go.",
      labels: ["worker"],
    }),
    modelEvictions: registry.counter({
      name: "ourvidz_model_evictions_total",
      help: "Models that had to go for another one.",
      labels: ["worker", "model"],
    }),
  };
}

function callMetrics(registry: MetricsRegistry) {
  return {
    calls: registry.counter({
      name: "ourvidz_calls_total",
      help: "Calls of a handler without its queue, by who made them (job, http) and how they were answered: completed, failed, cancelled, timed_out or refused (it has not run).",
      labels: ["type", "caller", "outcome"],
    }),
    callWaitSeconds: registry.histogram({
      name: "ourvidz_call_wait_seconds",
      help: "Time that a call waited until its handler ran.",
      labels: ["type"],
      buckets: jobSeconds,
    }),
    callSeconds: registry.histogram({
      name: "ourvidz_call_seconds",
      help: "Time from the start of a called handler to the answer, model load included, by how the call was answered.",
      labels: ["type", "outcome"],
      buckets: jobSeconds,
    }),
    callSteps: registry.counter({
      name: "ourvidz_call_steps_total",
      help: "Steps that called handlers have made: of a language model, tokens.",
      labels: ["type"],
    }),
  };
}

function deliveryMetrics(registry: MetricsRegistry) {
  return {
    uploadSeconds: registry.histogram({
      name: "ourvidz_upload_seconds",
      help: "Time to store one file, by outcome: stored or failed (it is tried again).",
      labels: ["store", "outcome"],
      buckets: jobSeconds,
    }),
    callbackSeconds: registry.histogram({
      name: "ourvidz_callback_seconds",
      help: "Time to report one state of a job, by that state and outcome: taken, failed (it is tried again) or refused for good.",
      labels: ["callback", "status", "outcome"],
      buckets: jobSeconds,
    }),
  };
}

function troubleMetrics(registry: MetricsRegistry) {
  return {
    errors: registry.counter({
      name: "ourvidz_port_errors_total",
      help: "Calls that failed of the source, the store or the callback, by error code.",
      labels: ["port", "code"],
    }),
    alarms: registry.counter({
      name: "ourvidz_alarms_total",
      help: "What needs a person: a callback refused or given up after 24 hours, a storage that refuses its key or lacks a bucket, a file that it never takes, a quota used up, a full queue or disk, a key refused.",
      labels: ["alarm"],
    }),
  };
}

function loopMetrics(registry: MetricsRegistry) {
  return {
    eventLoopDelaySeconds: registry.histogram({
      name: "ourvidz_event_loop_delay_seconds",
      help: "How late the container's event loop ran what was due, looked at 50 times a second: while it computes, nothing is answered and no lease renewed.",
      labels: [],
      buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
    }),
  };
}

function httpMetrics(registry: MetricsRegistry) {
  return {
    httpRequests: registry.counter({
      name: "ourvidz_http_requests_total",
      help: "HTTP requests by route pattern, method and status.",
      labels: ["route", "method", "status"],
    }),
    httpSeconds: registry.histogram({
      name: "ourvidz_http_request_seconds",
      help: "Time until the answer to an HTTP request begins.",
      labels: ["route", "method"],
      buckets: requestSeconds,
    }),
  };
}
