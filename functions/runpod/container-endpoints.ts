import type { Hono } from "hono";
import { CodedError } from "#contract/errors.ts";
import type { Runtime } from "#runtime/container/runtime.ts";
import type { Logger } from "#runtime/observe/log.ts";
import { readJson } from "../http/body.ts";
import type { EventStreams } from "../http/event-stream.ts";
import type { RequestState } from "../http/request-log.ts";
import { errorAnswer } from "./answers.ts";
import { containerBackend } from "./container-backend.ts";
import { endpointRoutes } from "./endpoint-routes.ts";
import { requireAnyKey } from "./keys.ts";

export const endpointsPath = "/v2/:endpoint/*";

interface EndpointsOptions {
  readonly runtime: Runtime;
  readonly streams: EventStreams;
  readonly log: Logger;
}

/**
 * `/v2/<endpoint>/…` as RunPod's clients call it, in front of this container's queue. Not among the declared routes: requests,
 * answers and errors have the shapes of another API.
 */
export function mountEndpoints(app: Hono<RequestState>, { runtime, streams, log }: EndpointsOptions): void {
  const { config } = runtime;
  const backend = containerBackend(runtime);

  app.use(endpointsPath, requireAnyKey(config.http.apiKeys));
  const { publicUrl } = config.http;
  const hold = () => streams.hold();
  app.route("/v2", endpointRoutes({ backend, publicUrl, log, hold, readBody: (request) => readJson(request) }));
  app.all(endpointsPath, () => {
    const operations = "run, runsync, status, status-sync, stream, cancel, retry, purge-queue, health, requests";
    return errorAnswer(new CodedError("NOT_FOUND", `An endpoint has no such operation: it has ${operations}.`));
  });
}
