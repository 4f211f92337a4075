import { join } from "node:path";
import { Hono } from "hono";
import { CodedError } from "#contract/errors.ts";
import { jobEnvelope } from "#contract/job.ts";
import { isLoopback } from "#runtime/container/config.ts";
import { emulatedType, emulatedWorker, requestIdOf } from "#runtime/endpoints/endpoint-job.ts";
import type { JobQueues } from "#runtime/sources/job-queues.ts";
import { isForeseen } from "../errors.ts";
import { EventStreams } from "../http/event-stream.ts";
import { errorAnswer } from "./answers.ts";
import { type EmulatorDeliveryOptions, emulatorDelivery } from "./emulator-delivery.ts";
import { connectionLimits, type EmulatorServer, serveEmulator } from "./emulator-server.ts";
import { checkEndpointName, type EndpointBackend, keptMs } from "./endpoint.ts";
import { EndedReadings } from "./endpoint-health.ts";
import { endpointRoutes } from "./endpoint-routes.ts";
import { KeptJobs } from "./kept-jobs.ts";
import { KeptOutputs } from "./kept-outputs.ts";
import { requireAnyKey } from "./keys.ts";
import { LiveJobs } from "./live-jobs.ts";
import { Takers } from "./takers.ts";
import { workerRoutes } from "./worker-routes.ts";

/*
 * RunPod's serverless endpoints on one's own machine: clients submit jobs to `/v2/<endpoint>/…`, and any number of containers
 * take them from there, as they do at RunPod. The jobs are in a source's queue, each endpoint's in a queue of its own.
 */
export interface EmulatorOptions extends EmulatorDeliveryOptions {
  readonly queue: JobQueues;
  /** Off loopback one is required. */
  readonly apiKeys: readonly string[];
  readonly host: string;
  /** 0 takes any free port. */
  readonly port: number;
  /** How long a container that waits for a job is kept waiting. */
  readonly holdMs?: number;
  readonly silentMs?: number;
  readonly nowMs?: () => number;
  /** A clock that is never set; by default the process's own, or `nowMs` where that is given. */
  readonly steadyMs?: () => number;
}

export interface Emulator {
  /** With `/v2`, as clients are to be pointed at it. */
  readonly url: string;
  close(): Promise<void>;
}

/** What is not delivered by then is when the emulator is started again. */
const drainLimitMs = 5000;

/** The worker whose queue is the endpoint's. @throws CodedError NOT_FOUND */
export function workerOf(endpoint: string): string {
  checkEndpointName(endpoint);
  return emulatedWorker(endpoint);
}

/** Longer than a result can be read: it may be settled late. */
const outputsKeptMs = 4 * keptMs.run;

/** @throws CodedError CONFIG_INVALID, PORT_IN_USE */
export async function startEmulator(options: EmulatorOptions): Promise<Emulator> {
  const { source, queue, apiKeys, host, port, log, nowMs = Date.now } = options;
  if (apiKeys.length === 0 && !isLoopback(host)) {
    const message = `The host ${host} is reachable from outside: set WAN_WORKER_API_KEY; make one with: openssl rand -hex 32`;
    throw new CodedError("CONFIG_INVALID", message);
  }
  const live = new LiveJobs();
  const ends = emulatorDelivery(options);
  const { silentMs, steadyMs = options.nowMs ?? (() => performance.now()) } = options;
  const silent = silentMs === undefined ? {} : { silentMs };
  const kept = await openKept(options);
  const started = Promise.withResolvers<void>();
  const outputs = new KeptOutputs({
    folder: join(options.config.dataFolder, "runpod", "outputs"),
    log,
    keptMs: outputsKeptMs,
  });
  const takers = new Takers({ source, live, workerOf, log, nowMs, steadyMs, ends, kept, outputs, ...silent });
  const backend = backendOf({ queue, live, takers, outputs });

  const app = new Hono();
  app.use("/v2/*", requireAnyKey(apiKeys, "this emulator"));
  // What containers post has a place when what they were given is known, and what was finished is being delivered.
  app.use("/v2/*", (_context, next) => started.promise.then(next));
  const waits = new EventStreams({ log, limit: connectionLimits.total });
  app.route("/v2", endpointRoutes({ backend, publicUrl: undefined, log, nowMs, hold: () => waits.hold() }));
  const held = options.holdMs === undefined ? {} : { holdMs: options.holdMs };
  app.route("/v2", workerRoutes({ takers, queue, log, ...held }));
  app.all("/v2/:endpoint/openai/*", () => errorAnswer(noOpenai()));
  app.notFound(() =>
    errorAnswer(new CodedError("NOT_FOUND", "There is nothing here: endpoints are at /v2/<endpoint>/…")),
  );
  app.onError((error, context) => {
    if (!isForeseen(error)) log.error({ error, path: context.req.path }, "a request failed");
    return errorAnswer(error);
  });
  let server: EmulatorServer;
  try {
    server = await serveEmulator(app, { host, port, log });
  } catch (error) {
    // Another one may be at work on the same folder and queue: nothing was done before.
    kept?.close();
    outputs.close();
    throw error;
  }
  const close = async () => {
    // What waits is answered with how it stands, so that every client knows its request's id.
    waits.close();
    takers.endWaits();
    await server.close();
    await takers.close();
    outputs.close();
    await ends.delivery.stop(drainLimitMs);
  };
  try {
    await ends.delivery.start();
    await takers.start();
  } catch (error) {
    await close();
    throw error;
  }
  started.resolve();
  return { url: `${server.url}/v2`, close };
}

async function openKept({ config, source, port, log }: EmulatorOptions): Promise<KeptJobs | null> {
  try {
    return await KeptJobs.open(config.dataFolder, { port, source: source.name });
  } catch (error) {
    log.warn({ error }, "what containers are given cannot be written down: when this process stops, it is run anew");
    return null;
  }
}

interface Parts {
  readonly queue: JobQueues;
  readonly live: LiveJobs;
  readonly takers: Takers;
  readonly outputs: KeptOutputs;
}

function backendOf({ queue, live, takers, outputs }: Parts): EndpointBackend {
  return {
    workerOf,
    ended: new EndedReadings(() => performance.now()),
    retried: (endpoint) => takers.retried(endpoint),
    queue,
    live,
    async enqueue(jobId, submission) {
      const job = jobEnvelope.parse({
        id: jobId,
        type: emulatedType,
        config: { expires_in_seconds: submission.ttlMs / 1000 },
        metadata: { runpod: submission },
      });
      await queue.enqueue(job, { worker: workerOf(submission.endpoint) });
      return requestIdOf(job);
    },
    async output({ job, result }) {
      const { output, output_file: file } = result?.metadata ?? {};
      return live.peek(job.id)?.output ?? output ?? (await outputs.read(file));
    },
    drain: ({ job }) => live.takeChunks(job.id),
    workers: (endpoint) => takers.counts(endpoint),
    cancelRequested: (jobId) => takers.cancelled(jobId),
    filterOf: (endpoint) => ({ worker: workerOf(endpoint) }),
  };
}

function noOpenai(): CodedError {
  const message =
    "The emulator does not serve openai/v1: that needs a container which answers at once. One of ours has it at its own port (ourvidz start), at /v2/<endpoint>/openai/v1.";
  return new CodedError("NOT_FOUND", message);
}
