import { statfs } from "node:fs/promises";
import { tmpdir } from "node:os";
import process from "node:process";
import { CodedError } from "#contract/errors.ts";
import { tryGpu } from "#runtime/check/gpu.ts";
import { workerVersion } from "#runtime/container/version.ts";
import { boundedRequest } from "#runtime/lib/bounded-request.ts";
import { GpuReading } from "#runtime/observe/gpu/gpu-reading.ts";
import type { Logger } from "#runtime/observe/log.ts";
import type { ProbeFinding, Unfitness } from "../source-definition.ts";
import { userAgent } from "./api.ts";
import type { FitnessSettings, RunpodSettings } from "./options.ts";
import { expandTemplate, withQuery } from "./protocol/url-templates.ts";

/*
 * What is looked at before a container takes jobs from RunPod. One that is not fit is reported, and ends: the platform starts
 * another one, where jobs that this one would fail are run. What a job type needs (models, ffmpeg) is another matter: what a
 * container does not offer, it does not run.
 */
export interface Measured {
  /** Why no GPU can be used; null where one can, or none has to be there. */
  readonly gpuProblem: string | null;
  readonly memoryGb: number;
  readonly freeDiskPercent: number;
}

type Reported = Pick<RunpodSettings, "pingUrl" | "apiKey" | "fitness" | "gpuType"> & { readonly workerId: string };

const reportLimitMs = 2000;
const gpuLimitMs = 10_000;
const maxReasonCharacters = 256;

/** @throws CodedError NOT_READY saying what is missing */
export async function assertFit(settings: Reported, log: Logger | undefined, measure = measureHost): Promise<void> {
  if (settings.fitness === null) return;
  const problem = unfitness(settings.fitness, await measure(settings.fitness));
  if (problem === null) return;
  await reportUnfit(settings, problem, log);
  throw new CodedError("NOT_READY", `This container is not fit to take jobs (${problem.check}): ${problem.reason}`);
}

/** Best effort, bounded in time. */
export async function reportUnfit(settings: Reported, problem: Unfitness, log: Logger | undefined): Promise<void> {
  await reportUnhealthy(settings, problem).catch((error: unknown) => log?.warn({ error }, "RunPod was not notified"));
}

/** The first thing that is wrong; null when nothing is. */
export function unfitness({ minMemoryGb, minDiskPercent }: FitnessSettings, measured: Measured): Unfitness | null {
  const { memoryGb, freeDiskPercent, gpuProblem } = measured;
  if (memoryGb < minMemoryGb) {
    const reason = `${memoryGb.toFixed(1)} GB of memory are free, and ${minMemoryGb} are needed (RUNPOD_MIN_MEMORY_GB).`;
    return { check: "memory", reason };
  }
  if (freeDiskPercent < minDiskPercent) {
    const reason = `${freeDiskPercent.toFixed(1)} % of the disk are free, and ${minDiskPercent} are needed (RUNPOD_MIN_DISK_PERCENT).`;
    return { check: "disk", reason };
  }
  if (gpuProblem !== null) return { check: "cuda", reason: gpuProblem };
  return null;
}

async function measureHost({ needsGpu }: FitnessSettings): Promise<Measured> {
  const { bavail, blocks } = await statfs(tmpdir());
  return {
    memoryGb: process.availableMemory() / 1e9,
    freeDiskPercent: blocks === 0 ? 100 : (bavail / blocks) * 100,
    gpuProblem: needsGpu ? await gpuProblem() : null,
  };
}

/** One whose driver does not answer in time is none. */
async function gpuProblem(): Promise<string | null> {
  const { status, message } = await tryGpu(new GpuReading({ waitMs: gpuLimitMs }));
  return status === "ok" ? null : `RUNPOD_GPU_TYPE_ID names a GPU, and ${message}`;
}

async function reportUnhealthy(
  { pingUrl, apiKey, workerId, gpuType }: Reported,
  { check, reason }: Unfitness,
): Promise<void> {
  if (pingUrl === null) return;
  const url = expandTemplate(pingUrl, { workerId, ...(gpuType === undefined ? {} : { gpuType }) });
  const query = {
    status: "unhealthy",
    check,
    reason: reason.slice(0, maxReasonCharacters),
    runpod_version: workerVersion,
  };
  await boundedRequest({
    method: "GET",
    url: withQuery(url, query),
    headers: { "user-agent": userAgent, ...(apiKey === undefined ? {} : { authorization: apiKey }) },
    signal: new AbortController().signal,
    idleMs: reportLimitMs,
    limitMs: reportLimitMs,
  });
}

/** Of a container that has no address for pings. */
export const noPings =
  "RUNPOD_WEBHOOK_PING is not set: nobody hears that this container still works on a job, which is then given to another one";

/**
 * Whether RunPod answers: by a ping, since a take would take a job.
 * @throws CodedError QUEUE_UNREACHABLE
 */
export async function probeRunpod({ pingUrl, workerId, gpuType, apiKey }: Reported): Promise<ProbeFinding> {
  if (pingUrl === null) return { warning: `${noPings}; nothing can be tried without taking a job` };
  const url = withQuery(expandTemplate(pingUrl, { workerId, ...(gpuType === undefined ? {} : { gpuType }) }), {
    runpod_version: workerVersion,
  });
  const headers = { "user-agent": userAgent, ...(apiKey === undefined ? {} : { authorization: apiKey }) };
  const signal = new AbortController().signal;
  try {
    const { status } = await boundedRequest({ method: "GET", url, headers, signal, idleMs: 10_000, limitMs: 10_000 });
    if (status < 400) return "RunPod answers a ping";
    throw unreachable(`RunPod refuses a ping with ${status}`);
  } catch (cause) {
    if (cause instanceof CodedError) throw cause;
    const why = cause instanceof Error ? cause.message : String(cause);
    throw unreachable(`RunPod does not answer a ping: ${why}`, cause);
  }
}

function unreachable(what: string, cause?: unknown): CodedError {
  const message = `${what}. Look at RUNPOD_WEBHOOK_PING and RUNPOD_AI_API_KEY.`;
  return new CodedError("QUEUE_UNREACHABLE", message, { cause });
}
