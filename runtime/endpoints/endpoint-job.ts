import { z } from "zod";
import type { ErrorReport } from "#contract/errors.ts";
import type { Job } from "#contract/job.ts";

/*
 * A job that was submitted at an endpoint (`/v2/<endpoint>/run`): what is kept of its request with it, in its metadata under
 * `runpod`. With the job it is known to every container of its queue, whichever of them has taken the request.
 */
const anyObject = z.record(z.string(), z.unknown());

export const keptSubmission = z.object({
  endpoint: z.string(),
  input: anyObject,
  /** What came beside the input and is passed on to the container. */
  rest: anyObject,
  webhook: z.string().nullable(),
  /** How the request's id is made of the job's; records of earlier versions have that of the request. */
  idForm: z.enum(["run", "runsync", "own"]).default("own"),
  executionTimeoutMs: z.number(),
  ttlMs: z.number(),
});
export type KeptSubmission = z.output<typeof keptSubmission>;

const withSubmission = z.object({ runpod: keptSubmission });

/** Null for a job that did not come through an endpoint. */
export function submissionOf(metadata: unknown): KeptSubmission | null {
  return withSubmission.safeParse(metadata).data?.runpod ?? null;
}

const requestIdForm = /^(?:sync-)?([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})-u1$/;

/**
 * The request's id as RunPod's clients know it: the job's, a UUID that every source takes, in RunPod's form. A job that came with
 * an id of its own is known by that.
 */
export function requestIdOf({ id, metadata }: Pick<Job, "id" | "metadata">): string {
  const form = submissionOf(metadata)?.idForm ?? "own";
  return form === "own" ? id : `${form === "runsync" ? "sync-" : ""}${id}-u1`;
}

/** The id of the job behind a request's, if it has no id of its own. */
export function jobIdOf(requestId: string): string {
  return requestIdForm.exec(requestId)?.[1] ?? requestId;
}

/** Of every job of an emulated endpoint: what it is is in its input, and the matter of whichever container takes it. */
export const emulatedType = "runpod_job";

const workerPrefix = "runpod_";

/** The worker in whose queue the jobs of an emulated endpoint wait. */
export function emulatedWorker(endpoint: string): string {
  return `${workerPrefix}${endpoint}`;
}

/** The endpoint whose queue the worker's is; null for any other worker. */
export function endpointOfWorker(worker: string): string | null {
  return worker.startsWith(workerPrefix) ? worker.slice(workerPrefix.length) : null;
}

/** As RunPod's clients read it. */
export type FailedStatus = "FAILED" | "TIMED_OUT";

export function failedStatus(error: Pick<ErrorReport, "code"> | null): FailedStatus {
  return error?.code === "TIMED_OUT" || error?.code === "EXPIRED" ? "TIMED_OUT" : "FAILED";
}
