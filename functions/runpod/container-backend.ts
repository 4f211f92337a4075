import { hostname } from "node:os";
import { CodedError } from "#contract/errors.ts";
import { bucketOf } from "#contract/job.ts";
import { currentJobType } from "#contract/job-types.ts";
import type { Runtime } from "#runtime/container/runtime.ts";
import { workerVersion } from "#runtime/container/version.ts";
import { filesIn, type StoredFiles, storedFiles } from "#runtime/delivery/stored-files.ts";
import { type KeptSubmission, requestIdOf } from "#runtime/endpoints/endpoint-job.ts";
import { readInput } from "#runtime/sources/runpod/job-input.ts";
import { outputOf } from "#runtime/sources/runpod/output.ts";
import { errorText } from "#runtime/sources/runpod/protocol/bodies.ts";
import { maxBodyBytes } from "#runtime/sources/runpod/protocol/limits.ts";
import { addressAt } from "../http/request-base.ts";
import { acceptJob } from "../jobs/accept.ts";
import { parseSubmission } from "../jobs/submission.ts";
import { ContainerJobs } from "./container-jobs.ts";
import { checkEndpointName, type EndpointBackend, type WorkerCounts } from "./endpoint.ts";
import { EndedReadings } from "./endpoint-health.ts";
import { inPolicysWords, limitsOf } from "./policy-limits.ts";

/** Between two reads of a record of which nothing is heard here: a queue elsewhere may be paid by the call. */
const pollMs = { embedded: 500, elsewhere: 2000 };

/**
 * RunPod's endpoints in front of this container's own queue: jobs like those of any other route. An address that is to be
 * notified of a job's end is kept with the job: the container that ends it does that, as it does with the job's own.
 */
export function containerBackend(runtime: Runtime): EndpointBackend {
  const { queue, registry, config, store, webhook } = runtime;
  const live = new ContainerJobs(runtime.events);
  const elsewhere = storedFiles(config, store);
  const { types, defaultType } = config.endpoints;
  const typeOf = (endpoint: string) =>
    types.get(endpoint) ?? registry.get(currentJobType(endpoint))?.type ?? defaultType;
  const isEmbedded = config.sources.every((source) => source.isEmbedded);
  return {
    queue,
    live,
    workerOf(endpoint) {
      const type = typeOf(endpoint);
      return type === undefined ? undefined : registry.get(type)?.worker;
    },
    ended: new EndedReadings(() => performance.now()),
    pollMs: isEmbedded ? pollMs.embedded : pollMs.elsewhere,
    async enqueue(jobId, submission) {
      checkEndpointName(submission.endpoint);
      if (submission.webhook !== null) webhook.check(submission.webhook);
      const options = {
        defaultType: typeOf(submission.endpoint),
        handlerOf: (type: string) => registry.get(type),
      };
      const { job, rejection } = readInput(jobId, submission.input, options);
      if (rejection !== undefined) throw new CodedError(rejection.code, rejection.message);
      // The job itself is what the input says: kept twice, it would be twice as large.
      const idForm = job.id === jobId ? submission.idForm : "own";
      const kept: KeptSubmission = { ...submission, idForm, input: {}, rest: {} };
      const limited = { ...limitsOf(submission), ...job.config };
      const given = parseSubmission({ ...job, config: limited }, registry, (problem) =>
        inPolicysWords(problem, submission, job.config),
      );
      const body = { ...given, metadata: { ...given.metadata, runpod: kept } };
      const { job_id: id } = await acceptJob({ body, headers: new Headers(), query: {} }, runtime);
      return requestIdOf({ id, metadata: body.metadata });
    },
    async output(record, base) {
      if (record.result === null) return undefined;
      const { job } = record;
      const files = base === "" ? elsewhere : filesFor(base, store);
      const { signal } = new AbortController();
      const built = await outputOf(
        record.result,
        filesIn(files, bucketOf(job), signal),
        maxBodyBytes(requestIdOf(job)),
      );
      if ("refusal" in built) throw new CodedError("RESULT_TOO_LARGE", built.refusal.message);
      return built.output;
    },
    error({ error, attempts }) {
      const workerId = attempts.at(-1)?.workerId ?? config.workerId;
      return error === null ? undefined : errorText(error, { hostname: hostname(), workerId, version: workerVersion });
    },
    drain: (record) => live.drain(record),
    workers: () => countsOf(runtime),
  };
}

/** Files of the data folder have an address for whoever reaches this container. */
function filesFor(base: string, store: Runtime["store"]): StoredFiles {
  return {
    async address(bucket, path) {
      const address = await store.url(bucket, path);
      return address === null ? null : addressAt(base, address);
    },
    read: (bucket, path, maxBytes, signal) => store.read(bucket, path, maxBytes, signal),
  };
}

/** This container is the one that is known here. */
function countsOf({ executors, dispatcher }: Pick<Runtime, "executors" | "dispatcher">): WorkerCounts {
  const states = [...executors.values()].map(({ status }) => status.state);
  const isReady = states.some((state) => state === "idle" || state === "busy");
  const isRunning = isReady && dispatcher.activeJobs > 0;
  const idle = isReady && !isRunning ? 1 : 0;
  const initializing = !isReady && states.includes("starting") ? 1 : 0;
  const unhealthy = isReady || initializing === 1 ? 0 : 1;
  return { idle, initializing, ready: idle, running: isRunning ? 1 : 0, throttled: 0, unhealthy };
}
