import { z } from "zod";
import { callbackAsset } from "#contract/callback.ts";
import { deliveryNote } from "#contract/delivery-note.ts";
import { attemptOutcomes, jobStatuses } from "#contract/job-states.ts";
import { releaseReason } from "#contract/release-reason.ts";

/* A job as the API shows it: one shape, in lists, alone and at the end of its events. */

const time = z.iso.datetime();
const anyObject = z.record(z.string(), z.unknown());

export const errorView = z.object({
  code: z.string(),
  message: z.string(),
  details: z.unknown().optional(),
  /** Of a job that can never succeed as it is: retrying it is refused. */
  permanent: z.boolean().optional(),
});

/** What jobs need that no container offers at present. */
export const unofferedNeed = z.object({
  type: z.string(),
  model: z.string().nullable(),
  /** False when no container runs the worker of such jobs at all. Absent from containers of older versions. */
  served: z.boolean().optional(),
});

const attemptView = z.object({
  attempt: z.number().int(),
  worker_id: z.string(),
  started_at: time,
  ended_at: time.nullable(),
  outcome: z.enum(attemptOutcomes),
  error: errorView.nullable(),
});

/**
 * As in the callback, but with addresses that can be opened; the stored path is `path`. An address is null when the app's
 * storage, which signs it, cannot be reached or has no such file.
 */
const assetView = callbackAsset.extend({
  url: z.string().nullable(),
  thumbnail_url: z.string().nullable(),
  path: z.string(),
  /** With `?inline=base64`: the file itself; null when it is not there any more. */
  base64: z.string().nullable().optional(),
});

export const jobView = z
  .object({
    job_id: z.string(),
    type: z.string(),
    worker: z.string(),
    user_id: z.string(),
    status: z.enum(jobStatuses),
    /** Attempts charged so far, the running one included. */
    attempt: z.number().int(),
    attempts: z.array(attemptView),
    priority: z.number(),
    prompt: z.string().nullable(),
    config: anyObject,
    metadata: anyObject,
    /** Its other fields as they were handed in: `negative_prompt`, `model_variant`, `bucket` and the like. */
    fields: anyObject,
    created_at: time,
    /** When the job is, or was, due. */
    available_at: time,
    started_at: time.nullable(),
    settled_at: time.nullable(),
    cancel_requested: z.boolean(),
    /** Of a job that waits although it is due: what it needs, which no container offers at present. */
    waiting_for: unofferedNeed.nullable(),
    /**
     * Of a queued job when it is shown alone: 1 goes next, and 10,001 stands for every place from there on. Null for any other
     * job, and in a list.
     */
    queue_position: z.number().int().nullable(),
    /** Of a queued job whose queue is paused, or that its last container gave back: why. */
    waiting_reason: releaseReason.nullable(),
    /**
     * Of a running job that has been worked off and whose result has not reached the app yet: shown as "delivering". It
     * cannot be cancelled any more.
     */
    delivery: deliveryNote.nullable(),
    /** 0 to 1. */
    progress: z.number().nullable(),
    error: errorView.nullable(),
    assets: z.array(assetView),
    /** What a job that makes text has made. */
    text: z.string().nullable(),
    /** What the handler and the runtime report of the result: seed, timings, effective parameters. */
    result_metadata: anyObject.nullable(),
  })
  .meta({ id: "Job" });

export type JobView = z.output<typeof jobView>;
