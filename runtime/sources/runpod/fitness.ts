import { statfs } from "node:fs/promises";
import { tmpdir } from "node:os";
import process from "node:process";
import { CodedError } from "#contract/errors.ts";
import { workerVersion } from "#runtime/container/version.ts";
import { boundedRequest } from "#runtime/lib/bounded-request.ts";
import type { Logger } from "#runtime/observe/log.ts";
import { userAgent } from "./api.ts";
import type { FitnessSettings, RunpodSettings } from "./options.ts";
import { expandTemplate, withQuery } from "./protocol/url-templates.ts";

/*
 * What is looked at before a container takes jobs from RunPod. One that is not fit is reported, and ends: the platform starts
 * another one, where jobs that this one would fail are run. What a job type needs (models, ffmpeg) is another matter: what a
 * container does not offer, it does not run.
 */
export interface Measured {
  readonly memoryGb: number;
  readonly freeDiskPercent: number;
}

type Reported = Pick<RunpodSettings, "pingUrl" | "apiKey" | "fitness" | "gpuType"> & { readonly workerId: string };

const reportLimitMs = 2000;
const maxReasonCharacters = 256;

/** @throws CodedError NOT_READY saying what is missing */
export async function assertFit(settings: Reported, log: Logger | undefined, measure = measureHost): Promise<void> {
  if (settings.fitness === null) return;
  const problem = unfitness(settings.fitness, await measure());
  if (problem === null) return;
  await reportUnhealthy(settings, problem).catch((error: unknown) => log?.warn({ error }, "RunPod was not notified"));
  throw new CodedError("NOT_READY", `This container is not fit to take jobs (${problem.check}): ${problem.reason}`);
}

export interface Unfitness {
  readonly check: string;
  readonly reason: string;
}

/** The first thing that is wrong; null when nothing is. */
export function unfitness({ minMemoryGb, minDiskPercent }: FitnessSettings, measured: Measured): Unfitness | null {
  const { memoryGb, freeDiskPercent } = measured;
  if (memoryGb < minMemoryGb) {
    const reason = `${memoryGb.toFixed(1)} GB of memory are free, and ${minMemoryGb} are needed (RUNPOD_MIN_MEMORY_GB).`;
    return { check: "memory", reason };
  }
  if (freeDiskPercent < minDiskPercent) {
    const reason = `${freeDiskPercent.toFixed(1)} % of the disk are free, and ${minDiskPercent} are needed (RUNPOD_MIN_DISK_PERCENT).`;
    return { check: "disk", reason };
  }
  return null;
}

async function measureHost(): Promise<Measured> {
  const { bavail, blocks } = await statfs(tmpdir());
  return { memoryGb: process.availableMemory() / 1e9, freeDiskPercent: blocks === 0 ? 100 : (bavail / blocks) * 100 };
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

/**
 * Whether RunPod answers: by a ping, since a take would take a job.
 * @throws CodedError QUEUE_UNREACHABLE
 */
export async function probeRunpod({ pingUrl, workerId, gpuType, apiKey }: Reported): Promise<string> {
  if (pingUrl === null) return "RUNPOD_WEBHOOK_PING is not set: nothing can be tried without taking a job";
  const url = withQuery(expandTemplate(pingUrl, { workerId, ...(gpuType === undefined ? {} : { gpuType }) }), {
    runpod_version: workerVersion,
  });
  const headers = { "user-agent": userAgent, ...(apiKey === undefined ? {} : { authorization: apiKey }) };
  const signal = new AbortController().signal;
  try {
    const { status } = await boundedRequest({ method: "GET", url, headers, signal, idleMs: 10_000, limitMs: 10_000 });
    if (status < 400) return "RunPod answers a ping";
    throw new Error(`it answers ${status}`);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    const message = `RunPod does not answer a ping: ${why}. Look at RUNPOD_WEBHOOK_PING and RUNPOD_AI_API_KEY.`;
    throw new CodedError("QUEUE_UNREACHABLE", message, { cause });
  }
}
