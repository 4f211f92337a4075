import type { Hono } from "hono";
import { CodedError } from "#contract/errors.ts";
import type { Runtime } from "#runtime/container/runtime.ts";
import type { Logger } from "#runtime/observe/log.ts";
import { isSettled } from "#runtime/sources/job-source.ts";
import { readJson } from "../http/body.ts";
import type { EventStreams } from "../http/event-stream.ts";
import type { RequestState } from "../http/request-log.ts";
import { errorAnswer } from "./answers.ts";
import { containerBackend } from "./container-backend.ts";
import { Endpoint } from "./endpoint.ts";
import { endpointRoutes } from "./endpoint-routes.ts";
import { requireAnyKey } from "./keys.ts";
import type { KeptSubmission } from "./submission.ts";
import { Webhooks } from "./webhooks.ts";

export const endpointsPath = "/v2/:endpoint/*";

interface EndpointsOptions {
  readonly runtime: Runtime;
  readonly streams: EventStreams;
  readonly log: Logger;
}

/** Between two reads of a job for whose end an address waits, while nothing is heard of it here. */
const webhookPollMs = 5_000;

/**
 * `/v2/<endpoint>/…` as RunPod's clients call it, in front of this container's queue. Not among the declared routes: requests,
 * answers and errors have the shapes of another API.
 */
export function mountEndpoints(app: Hono<RequestState>, { runtime, streams, log }: EndpointsOptions): void {
  const { queue, config, webhook } = runtime;
  const closing = streams.closing;
  const webhooks = new Webhooks({ log, post: (url, body, signal) => webhook.post(url, body, signal) });
  closing.addEventListener("abort", () => webhooks.close(), { once: true });
  const backend = containerBackend(runtime, { onSubmitted: (id, submission) => void notifyOf(id, submission) });

  async function notifyOf(jobId: string, { endpoint, webhook: url }: KeptSubmission): Promise<void> {
    if (url === null) return;
    try {
      const body = await endOf(endpoint, jobId);
      if (body !== null) await webhooks.send(url, { ...body, webhook: url });
    } catch (error) {
      log.error({ error, job_id: jobId }, "a webhook of an endpoint cannot be sent");
    }
  }

  /** Null when the container closes before, or the job is gone. */
  async function endOf(endpoint: string, jobId: string) {
    for (;;) {
      const record = await queue.get(jobId);
      if (record === null || closing.aborted) return null;
      if (isSettled(record.status)) {
        const status = await new Endpoint(endpoint, backend, Date.now).status(jobId, "");
        const { id, metadata, ...fields } = record.job;
        const { runpod, ...given } = metadata;
        return { ...status, input: { ...fields, metadata: given } };
      }
      await backend.live.wait(jobId, webhookPollMs, closing);
    }
  }

  app.use(endpointsPath, requireAnyKey(config.http.apiKeys));
  const { publicUrl } = config.http;
  const hold = () => streams.hold();
  app.route("/v2", endpointRoutes({ backend, publicUrl, log, hold, readBody: (request) => readJson(request) }));
  app.all(endpointsPath, () => {
    const operations = "run, runsync, status, status-sync, stream, cancel, retry, purge-queue, health, requests";
    return errorAnswer(new CodedError("NOT_FOUND", `An endpoint has no such operation: it has ${operations}.`));
  });
}
