import { z } from "zod";
import type { ErrorReport } from "#contract/errors.ts";

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
  executionTimeoutMs: z.number(),
  ttlMs: z.number(),
});
export type KeptSubmission = z.output<typeof keptSubmission>;

const withSubmission = z.object({ runpod: keptSubmission });

/** Null for a job that did not come through an endpoint. */
export function submissionOf(metadata: unknown): KeptSubmission | null {
  return withSubmission.safeParse(metadata).data?.runpod ?? null;
}

/** Of every job of an emulated endpoint: what it is is in its input, and the matter of whichever container takes it. */
export const emulatedType = "runpod_job";

/** As RunPod's clients read it. */
export type FailedStatus = "FAILED" | "TIMED_OUT";

export function failedStatus(error: Pick<ErrorReport, "code"> | null): FailedStatus {
  return error?.code === "TIMED_OUT" || error?.code === "EXPIRED" ? "TIMED_OUT" : "FAILED";
}
