import { type Context, Hono } from "hono";
import { CodedError, RetryableError } from "#contract/errors.ts";
import type { Job } from "#contract/job.ts";
import { brokenOff } from "#contract/request-body.ts";
import { isJsonObject, type JsonObject } from "#contract/synonyms.ts";
import { requestIdOf } from "#runtime/endpoints/endpoint-job.ts";
import type { Logger } from "#runtime/observe/log.ts";
import type { JobQueues } from "#runtime/sources/job-queues.ts";
import { isSettled, type JobRecord } from "#runtime/sources/job-source.ts";
import { maxBodyBytes, maxChunkBytes } from "#runtime/sources/runpod/protocol/limits.ts";
import { isForeseen } from "../errors.ts";
import { errorAnswer, postedLimits, readBody } from "./answers.ts";
import { checkEndpointName } from "./endpoint.ts";
import { recordOfRequest } from "./request-record.ts";
import type { Takers } from "./takers.ts";
import { readWorkerCall, type WorkerCall } from "./worker-path.ts";

/* `/v2/<endpoint>/job-take/…` and its likes: what containers call that work for an endpoint, the official worker among them. */
export interface WorkerRoutesOptions {
  readonly takers: Takers;
  readonly queue: Pick<JobQueues, "get">;
  readonly log: Logger;
  /** How long a container that waits for a job is kept waiting. */
  readonly holdMs?: number;
}

interface Called extends WorkerCall {
  readonly endpoint: string;
  readonly context: Context;
}

const noContent = () => new Response(null, { status: 204 });
const accepted = () => Response.json({ status: "ok" });
const maxBatch = 100;

export function workerRoutes({ takers, queue, log, holdMs = 60_000 }: WorkerRoutesOptions): Hono {
  const app = new Hono();
  const route = (method: string, operation: string, answer: (call: Called) => Promise<Response>) => {
    app.on(method, `/:endpoint/${operation}/*`, async (context) => {
      const endpoint = context.req.param("endpoint") ?? "";
      const { pathname, search } = new URL(context.req.url);
      const before = `/${endpoint}/${operation}/`;
      try {
        checkEndpointName(endpoint);
        const path = pathname.slice(pathname.indexOf(before) + before.length);
        return await answer({ ...readWorkerCall(path, search, context.req.raw.headers), endpoint, context });
      } catch (error) {
        if (!isForeseen(error)) log.error({ error, path: pathname }, "a request of a container failed");
        return errorAnswer(error);
      }
    });
  };
  /** Not of a job that another emulator of this queue has given to the container. */
  const isNobodys = async (requestId: string) => {
    const record = await recordOfRequest(queue, requestId);
    return record === null || record.status !== "running" || takers.has(record.job.id);
  };
  /** What was given here is taken from its container also while the queue is away. @throws CodedError JOB_NOT_FOUND */
  const jobOf = async (requestId: string | null): Promise<Job> =>
    (requestId === null ? undefined : takers.jobOf(requestId)) ?? (await known(queue, requestId)).job;
  route("GET", "job-take", async ({ endpoint, workerId, context }) => {
    const [job] = await takers.take(endpoint, workerId, 1, holdMs, context.req.raw.signal);
    return job === undefined ? noContent() : Response.json(job);
  });
  route("GET", "job-take-batch", async ({ endpoint, workerId, query, context }) => {
    const size = Number(query.get("batch_size") ?? "1");
    const count = Number.isInteger(size) ? Math.min(Math.max(size, 1), maxBatch) : 1;
    const jobs = await takers.take(endpoint, workerId, count, holdMs, context.req.raw.signal);
    return jobs.length === 0 ? noContent() : Response.json(jobs);
  });
  route("GET", "job-stop", async ({ endpoint, workerId, context }) => {
    const jobsToStop = await takers.stopped(endpoint, workerId, holdMs, context.req.raw.signal);
    return jobsToStop.length === 0 ? noContent() : Response.json({ jobsToStop });
  });
  route("POST", "job-done", async ({ endpoint, workerId, jobId, context }) => {
    const job = await jobOf(jobId);
    const body = await posted(context, maxBodyBytes(requestIdOf(job)), (reason) =>
      takers.refuse(endpoint, workerId, job.id, reason),
    );
    if (await takers.done(endpoint, workerId, job.id, body)) return accepted();
    const { status } = await known(queue, jobId);
    if (isSettled(status)) return accepted();
    // With 404 a container drops the end: one that kept it would have no room to be given the job anew.
    if (takers.has(job.id)) {
      throw new CodedError(
        "JOB_NOT_FOUND",
        "Another container has the job now: nothing was heard of this one for too long.",
      );
    }
    if (status === "queued") {
      throw new CodedError("JOB_NOT_FOUND", "Nobody has the job any more: it waits again, and will be run anew.");
    }
    const message =
      "The job is in the hands of another emulator, or of an earlier process: post again when its lease has run out.";
    throw new RetryableError(message, { code: "NOT_READY" });
  });
  route("POST", "job-stream", async ({ endpoint, workerId, jobId, context }) => {
    const { id } = await jobOf(jobId);
    takers.chunk(endpoint, workerId, id, await posted(context, maxChunkBytes));
    return accepted();
  });
  route("GET", "ping", async ({ endpoint, workerId, query }) => {
    const named = (query.get("job_id") ?? "").split(",");
    for (const id of takers.ping(endpoint, workerId, query.get("status") === "unhealthy", named)) {
      if (await isNobodys(id)) takers.stop(endpoint, workerId, id);
    }
    return accepted();
  });
  return app;
}

/** The job of a request. @throws CodedError JOB_NOT_FOUND */
async function known(queue: Pick<JobQueues, "get">, requestId: string | null): Promise<JobRecord> {
  const record = requestId === null ? null : await recordOfRequest(queue, requestId);
  if (record !== null) return record;
  throw new CodedError("JOB_NOT_FOUND", "There is no such job: its time is over, or it never was.");
}

/**
 * The body as an object. What cannot be taken is answered with 400, as RunPod does.
 * @param onUnusable called with the sentence that says why, before that, for what arrived whole or is too large
 */
async function posted(
  context: Context,
  maxBytes: number,
  onUnusable?: (reason: string) => Promise<void>,
): Promise<JsonObject> {
  try {
    const body = await readBody(context.req.raw, maxBytes, postedLimits);
    if (isJsonObject(body)) return body;
    throw new CodedError("INVALID_REQUEST", "The body must be a JSON object.");
  } catch (error) {
    if (!(error instanceof CodedError)) throw error;
    if (error.message !== brokenOff) await onUnusable?.(error.message);
    throw new CodedError("INVALID_REQUEST", error.message, { cause: error });
  }
}
