import { Hono } from "hono";
import { requestId } from "hono/request-id";
import { shortened } from "#contract/problems.ts";
import type { Runtime } from "#runtime/container/runtime.ts";
import type { Logger } from "#runtime/observe/log.ts";
import { chatRoute } from "./chat.ts";
import { chatCompletionsRoute } from "./chat-completions.ts";
import { deleteChatSessionRoute } from "./chat-sessions-delete.ts";
import { deleteChatSessionsRoute } from "./chat-sessions-delete-all.ts";
import { getChatSessionRoute } from "./chat-sessions-get.ts";
import { consolePageRoute } from "./console.ts";
import { consoleFileRoute } from "./console-files.ts";
import { docsRoute } from "./docs.ts";
import { enhanceBaseRoute, enhanceInstructRoute, enhanceRoute } from "./enhance.ts";
import { errorResponse, HttpError } from "./errors.ts";
import { listFailuresRoute } from "./failures.ts";
import { fileRoute } from "./files-get.ts";
import { generateRoute } from "./generate.ts";
import { healthRoute } from "./health.ts";
import { onlyThisMachine } from "./http/browser-guard.ts";
import { EventStreams } from "./http/event-stream.ts";
import { mount } from "./http/mount.ts";
import { type RequestState, requestLog } from "./http/request-log.ts";
import { requestMetrics } from "./http/request-metrics.ts";
import type { Route } from "./http/route.ts";
import { createInputRoute } from "./inputs-create.ts";
import { deleteInputRoute } from "./inputs-delete.ts";
import { getInputRoute } from "./inputs-get.ts";
import { attemptLogRoute } from "./jobs-attempt-log.ts";
import { cancelJobRoute } from "./jobs-cancel.ts";
import { cancelJobsRoute } from "./jobs-cancel-many.ts";
import { changeJobRoute } from "./jobs-change.ts";
import { createJobRoute } from "./jobs-create.ts";
import { discardJobRoute } from "./jobs-discard.ts";
import { discardJobsRoute } from "./jobs-discard-many.ts";
import { jobEventsRoute } from "./jobs-events.ts";
import { getJobRoute } from "./jobs-get.ts";
import { listJobsRoute } from "./jobs-list.ts";
import { retryJobRoute } from "./jobs-retry.ts";
import { metricsRoute } from "./metrics.ts";
import { getModelRoute } from "./models-get.ts";
import { listModelsRoute } from "./models-list.ts";
import { openApiRoute } from "./openapi-json.ts";
import { giveUpReportRoute } from "./outbox-give-up.ts";
import { listOutboxRoute } from "./outbox-list.ts";
import { tryOutboxRoute } from "./outbox-try.ts";
import { deadLettersRoute } from "./queues-dead.ts";
import { listQueuesRoute } from "./queues-list.ts";
import { pauseQueueRoute } from "./queues-pause.ts";
import { redriveQueueRoute } from "./queues-redrive.ts";
import { resumeQueueRoute } from "./queues-resume.ts";
import { waitingJobsRoute } from "./queues-waiting.ts";
import { readyRoute } from "./ready.ts";
import { endpointsPath, mountEndpoints } from "./runpod/container-endpoints.ts";
import { routedPath } from "./runpod/openai-path.ts";
import { testCompelRoute } from "./test-compel.ts";
import { discardUndecodableRoute } from "./undecodable-discard.ts";
import { listUndecodableRoute } from "./undecodable-list.ts";
import { workerInfoRoute } from "./worker-info.ts";
import { pauseWorkerRoute } from "./worker-pause.ts";
import { workerResourcesRoute } from "./worker-resources.ts";
import { restartWorkerRoute } from "./worker-restart.ts";
import { resumeWorkerRoute } from "./worker-resume.ts";
import { workerStatusRoute } from "./worker-status.ts";
import { readValidationRoute, validateWorkerRoute } from "./worker-validate.ts";

/** Every function of the container, by who may call it. */
export const routes: readonly Route[] = [
  // open
  healthRoute,
  readyRoute,
  consoleFileRoute,
  // key
  createJobRoute,
  listJobsRoute,
  getJobRoute,
  jobEventsRoute,
  attemptLogRoute,
  cancelJobRoute,
  changeJobRoute,
  retryJobRoute,
  discardJobRoute,
  cancelJobsRoute,
  discardJobsRoute,
  listFailuresRoute,
  generateRoute,
  createInputRoute,
  getInputRoute,
  deleteInputRoute,
  testCompelRoute,
  chatRoute,
  getChatSessionRoute,
  deleteChatSessionRoute,
  deleteChatSessionsRoute,
  enhanceRoute,
  enhanceInstructRoute,
  enhanceBaseRoute,
  chatCompletionsRoute,
  listModelsRoute,
  getModelRoute,
  listQueuesRoute,
  deadLettersRoute,
  redriveQueueRoute,
  waitingJobsRoute,
  pauseQueueRoute,
  resumeQueueRoute,
  listUndecodableRoute,
  discardUndecodableRoute,
  listOutboxRoute,
  tryOutboxRoute,
  giveUpReportRoute,
  workerStatusRoute,
  workerResourcesRoute,
  workerInfoRoute,
  validateWorkerRoute,
  readValidationRoute,
  restartWorkerRoute,
  pauseWorkerRoute,
  resumeWorkerRoute,
  metricsRoute,
  openApiRoute,
  // key, and other sites may link to it
  consolePageRoute,
  docsRoute,
  // signed
  fileRoute,
];

export interface App {
  readonly fetch: Hono<RequestState>["fetch"];
  readonly request: Hono<RequestState>["request"];
  readonly streams: EventStreams;
}

/** The HTTP side of a container, not yet listening. */
export function createApp(runtime: Runtime, log: Logger, streams = new EventStreams({ log })): App {
  const app = new Hono<RequestState>({ getPath: routedPath });
  app.use(
    requestId({ limitLength: 64 }),
    requestLog(log),
    requestMetrics(runtime.metrics, [...routes, { path: endpointsPath }]),
  );
  if (runtime.config.http.apiKeys.length === 0) app.use(onlyThisMachine);
  mount(app, routes, { runtime, streams, log });
  mountEndpoints(app, { runtime, streams, log });
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
