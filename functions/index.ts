import { Hono } from "hono";
import { requestId } from "hono/request-id";
import { shortened } from "#contract/problems.ts";
import type { Runtime } from "#runtime/container/runtime.ts";
import type { Logger } from "#runtime/observe/log.ts";
import { consolePage } from "./console.ts";
import { consoleFile } from "./console-files.ts";
import { docs } from "./docs.ts";
import { errorResponse, HttpError } from "./errors.ts";
import { file } from "./files-get.ts";
import { generate } from "./generate.ts";
import { health } from "./health.ts";
import { onlyThisMachine } from "./http/browser-guard.ts";
import { EventStreams } from "./http/event-stream.ts";
import { mount } from "./http/mount.ts";
import { type RequestState, requestLog } from "./http/request-log.ts";
import { requestMetrics } from "./http/request-metrics.ts";
import type { Route } from "./http/route.ts";
import { cancelJob } from "./jobs-cancel.ts";
import { createJob } from "./jobs-create.ts";
import { jobEvents } from "./jobs-events.ts";
import { getJob } from "./jobs-get.ts";
import { listJobs } from "./jobs-list.ts";
import { retryJob } from "./jobs-retry.ts";
import { metrics } from "./metrics.ts";
import { openApi } from "./openapi-json.ts";
import { deadLetters } from "./queues-dead.ts";
import { listQueues } from "./queues-list.ts";
import { redriveQueue } from "./queues-redrive.ts";
import { ready } from "./ready.ts";
import { workerInfo } from "./worker-info.ts";
import { pauseWorker } from "./worker-pause.ts";
import { workerResources } from "./worker-resources.ts";
import { restartWorker } from "./worker-restart.ts";
import { resumeWorker } from "./worker-resume.ts";
import { workerStatus } from "./worker-status.ts";
import { validateWorker } from "./worker-validate.ts";

/** Every function of the container, by who may call it. */
export const routes: readonly Route[] = [
  // open
  health,
  ready,
  consoleFile,
  // key
  createJob,
  listJobs,
  getJob,
  jobEvents,
  cancelJob,
  retryJob,
  generate,
  listQueues,
  deadLetters,
  redriveQueue,
  workerStatus,
  workerResources,
  workerInfo,
  validateWorker,
  restartWorker,
  pauseWorker,
  resumeWorker,
  // key, or from this machine
  consolePage,
  metrics,
  openApi,
  docs,
  // signed
  file,
];

export interface App {
  readonly fetch: Hono<RequestState>["fetch"];
  readonly request: Hono<RequestState>["request"];
  readonly streams: EventStreams;
}

/** The HTTP side of a container, not yet listening. */
export function createApp(runtime: Runtime, log: Logger, streams = new EventStreams({ log })): App {
  const app = new Hono<RequestState>();
  app.use(requestId({ limitLength: 64 }), requestLog(log), requestMetrics(runtime.metrics, routes));
  if (runtime.config.http.apiKeys.length === 0) app.use(onlyThisMachine);
  mount(app, routes, { runtime, streams });
  app.notFound((context) => {
    const { pathname } = new URL(context.req.url);
    return errorResponse(new HttpError("NOT_FOUND", `There is nothing at ${shortened(pathname)}.`));
  });
  app.onError((error) => errorResponse(error));
  // Not waited for: requests can be answered before, and what is recorded until then is kept.
  runtime.metricsRegistry
    .load()
    .catch((error: unknown) =>
      log.error({ error }, "the metrics cannot be read: install the container's packages anew"),
    );
  return { fetch: app.fetch, request: app.request, streams };
}
