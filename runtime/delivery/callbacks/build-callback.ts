import type { CallbackAsset, JobCallback } from "#contract/callback.ts";
import type { ErrorReport } from "#contract/errors.ts";
import type { Job } from "#contract/job.ts";
import { isJobType, jobTypes } from "#contract/job-types.ts";
import { workerVersion } from "#runtime/container/version.ts";
import type { Settlement } from "#runtime/dispatch/attempt.ts";
import type { AssetFile } from "#runtime/executor/protocol.ts";
import { traceparentOf } from "#runtime/observe/tracing/traceparent.ts";
import type { Lease } from "#runtime/sources/job-source.ts";

/*
 * The callback of one job: what the app receives, with the metadata that it shows and bills by. Paths are those of the
 * asset store, `{user}/{job}/{index}.{ext}`, thumbnails beside them.
 */
export type FinalSettlement = Extract<Settlement, { kind: "complete" | "fail" | "cancelled" }>;

export interface CallbackFacts {
  /** The lease, or what is known of a job that ended without one. */
  readonly lease: Pick<Lease, "jobId" | "job" | "run" | "attempt"> & Partial<Pick<Lease, "queuedAtMs" | "takenAtMs">>;
  readonly workerId: string;
  readonly nowMs: number;
  /** How long the attempt ran, by a clock that nobody sets; null when it never did. */
  readonly ranMs: number | null;
}

export function assetPath(job: Pick<Job, "id" | "user_id">, name: string): string {
  return `${job.user_id}/${job.id}/${name}`;
}

export function assetNames(file: AssetFile): { readonly main: string; readonly thumbnail: string | null } {
  return {
    main: `${file.index}.${file.extension}`,
    thumbnail: file.thumbnail ? `${file.index}.thumb.${file.thumbnail.extension}` : null,
  };
}

export function processingCallback(facts: CallbackFacts, progress: number): JobCallback {
  return { ...base(facts), status: "processing", assets: [], metadata: { ...commonMetadata(facts), progress } };
}

export function finalCallback(facts: CallbackFacts, settlement: FinalSettlement): JobCallback {
  const timings = timingMetadata(facts);
  switch (settlement.kind) {
    case "complete":
      return {
        ...base(facts),
        status: "completed",
        assets: settlement.assets.map((file) => callbackAsset(facts.lease.job, file)),
        ...(settlement.enhancedPrompt === undefined ? {} : { enhanced_prompt: settlement.enhancedPrompt }),
        ...(settlement.text === undefined ? {} : { text: settlement.text }),
        // What the runtime knows is not for a handler to set.
        metadata: withRatio({
          ...settlement.metadata,
          ...commonMetadata(facts),
          ...contentOf(settlement.assets),
          ...timings,
        }),
      };
    case "fail":
      return {
        ...base(facts),
        status: "failed",
        assets: [],
        error_message: settlement.error.message,
        metadata: {
          ...commonMetadata(facts),
          ...timings,
          error_type: settlement.error.code,
          error_timestamp: new Date(facts.nowMs).toISOString(),
        },
      };
    case "cancelled":
      return { ...base(facts), status: "cancelled", assets: [], metadata: { ...commonMetadata(facts), ...timings } };
  }
}

/** What is reported in place of a completion whose files the store never takes. */
export function refusedCallback(callback: JobCallback, error: ErrorReport, nowMs: number): JobCallback {
  return {
    ...callback,
    status: "failed",
    assets: [],
    error_message: error.message,
    metadata: { ...callback.metadata, error_type: error.code, error_timestamp: new Date(nowMs).toISOString() },
  };
}

function base(facts: CallbackFacts) {
  const { jobId, run, attempt } = facts.lease;
  // A job that never ran ends as its first attempt would.
  return { job_id: jobId, run, attempt: Math.max(1, attempt), error_message: null };
}

function callbackAsset(job: Job, file: AssetFile): CallbackAsset {
  const names = assetNames(file);
  return {
    type: file.type,
    url: assetPath(job, names.main),
    ...(names.thumbnail === null ? {} : { thumbnail_url: assetPath(job, names.thumbnail) }),
    mime_type: file.mimeType,
    size_bytes: file.sizeBytes,
    index: file.index,
    metadata: file.metadata,
  };
}

/** Some types make a picture or a video, as the job says. */
function contentOf([first]: readonly AssetFile[]): { readonly content_type?: AssetFile["type"] } {
  return first === undefined ? {} : { content_type: first.type };
}

/** Ids of the app's own rows travel through untouched. */
const passedThrough = ["image_id", "video_id", "character_id"] as const;

function commonMetadata({ lease, workerId }: CallbackFacts): Record<string, unknown> {
  const { job, queuedAtMs, takenAtMs } = lease;
  const known = isJobType(job.type) ? jobTypes[job.type] : null;
  const expected =
    typeof job.config.expected_time === "number" ? job.config.expected_time : (known?.expectedSeconds ?? null);
  const ids = passedThrough.flatMap((key) =>
    job[key] === undefined || job[key] === null ? [] : [[key, job[key]] as const],
  );
  const traceparent = traceparentOf(job.metadata);
  return {
    job_type: job.type,
    ...(known ? { content_type: known.contentType } : {}),
    ...(expected === null ? {} : { expected_time: expected }),
    ...Object.fromEntries(ids),
    ...(traceparent === undefined ? {} : { traceparent }),
    ...(queuedAtMs === undefined || takenAtMs === undefined
      ? {}
      : { queue_time: Math.max(0, takenAtMs - queuedAtMs) / 1000 }),
    worker_version: workerVersion,
    worker_id: workerId,
  };
}

function timingMetadata(facts: CallbackFacts): Record<string, unknown> {
  return facts.ranMs === null ? {} : { generation_time: facts.ranMs / 1000 };
}

/** `performance_ratio` = generation_time / expected_time, where both are known. */
function withRatio(metadata: Record<string, unknown>): Record<string, unknown> {
  const { generation_time: took, expected_time: expected } = metadata;
  if (typeof took !== "number" || typeof expected !== "number" || expected <= 0) return metadata;
  return { ...metadata, performance_ratio: took / expected };
}
