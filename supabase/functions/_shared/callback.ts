import { z } from "zod";
import { listed, passedThrough } from "./fields.ts";
import { defaulted, safeId } from "./job.ts";
import { contentTypeOf } from "./job-types.ts";
import { isJsonObject } from "./synonyms.ts";

/** What the container tells the app about a job: `POST /functions/v1/job-callback`. */

export const callbackStatuses = ["processing", "completed", "failed", "cancelled"] as const;
export type CallbackStatus = (typeof callbackStatuses)[number];

const nothingOr = <Schema extends z.ZodType>(schema: Schema) => schema.nullish();
const text = nothingOr(z.string());
const number = nothingOr(z.number());
const flag = nothingOr(z.boolean());
/** What the database's numbers hold. */
const largestCount = 2_147_483_647;
const count = z.number().int().min(0);
const counted = z.number().int().min(1).max(largestCount);

export const callbackAsset = z.looseObject({
  type: z.enum(["image", "video", "text"], { error: 'must be "image", "video" or "text"' }),
  /** Path in the bucket of the job. */
  url: z.string().min(1),
  thumbnail_url: text,
  mime_type: z.string().optional(),
  size_bytes: count.optional(),
  index: count.max(largestCount),
  metadata: z.record(z.string(), z.unknown()).optional(),
});

const callbackMetadata = z.looseObject({
  seed: number,
  generation_time: number,
  num_images: number,
  job_type: text,
  content_type: text,
  frame_num: number,
  wan_task: text,
  reference_mode: text,
  reference_path: text,
  compel_enabled: flag,
  compel_weights: text,
  enhancement_strategy: nothingOr(z.enum(["compel", "fallback", "none"])),
  enhancement_type: text,
  enhancement_success: flag,
  enhancement_time: number,
  original_prompt: text,
  enhanced_prompt: text,
  final_prompt_type: nothingOr(z.enum(["conditioning_tensor", "string"])),
  expected_time: number,
  performance_ratio: number,
  queue_time: number,
  load_time: number,
  vram_used_gb: number,
  vram_total_gb: number,
  vram_utilization: number,
  progress: nothingOr(z.number().min(0).max(1)),
  error_type: text,
  error_timestamp: text,
  worker_version: text,
  worker_id: text,
  ignored: z.array(z.string()).optional(),
  /** How many there are beside those. */
  ignored_more: count.optional(),
});

const callbackFields = {
  job_id: safeId,
  status: z.enum(callbackStatuses, { error: `must be ${listed(callbackStatuses)}` }),
  /** Counted from 1; older producers do not count. */
  attempt: defaulted(counted.default(1)),
  /** Which run of the job: 1, and one more with every redrive; attempts restart at 1 with every run. Older containers do not say it. */
  run: counted.optional(),
  error_message: text,
  enhanced_prompt: text,
  /** What a job that makes text has made: an answer. */
  text,
  image_id: passedThrough,
  video_id: passedThrough,
  character_id: passedThrough,
  metadata: defaulted(callbackMetadata.prefault({})),
};

/** The canonical form. It also reads assets that are strings (paths), which older containers send. */
export const jobCallback = z.preprocess(
  withAssetObjects,
  z
    .looseObject({ ...callbackFields, assets: defaulted(z.array(callbackAsset).default([])) })
    .superRefine(refuseEmptyCompletion, { when: () => true }),
);

/** The form for older consumers: assets as paths. */
export const jobCallbackWithUrls = z
  .looseObject({ ...callbackFields, assets: defaulted(z.array(z.string().min(1)).default([])) })
  .superRefine(refuseEmptyCompletion, { when: () => true });

export type CallbackAsset = z.output<typeof callbackAsset>;
export type JobCallback = z.output<typeof jobCallback>;
export type JobCallbackWithUrls = z.output<typeof jobCallbackWithUrls>;

/** A callback as `CALLBACK_ASSETS=urls` sends it; thumbnails and sizes are left out. */
export function withAssetUrls(callback: JobCallback): JobCallbackWithUrls {
  return { ...callback, assets: callback.assets.map((asset) => asset.url) };
}

/** What the edge function answers. */
export const callbackResponse = z.looseObject({
  success: z.boolean(),
  message: z.string(),
  /** The callback was known already, or came after the final one. */
  skipped: z.boolean().optional(),
  debug: z
    .looseObject({
      job_id: z.string(),
      jobStatus: z.string(),
      jobType: text,
      format: text,
      quality: text,
      isSDXL: flag,
      isEnhanced: flag,
      assetsProcessed: count,
      processingTimestamp: z.string(),
    })
    .optional(),
});

export type CallbackResponse = z.output<typeof callbackResponse>;

function withAssetObjects(callback: unknown): unknown {
  if (!isJsonObject(callback) || !Array.isArray(callback.assets)) return callback;
  const assets = callback.assets.map((asset: unknown, index) =>
    typeof asset === "string" ? { type: assetTypeOf(asset), url: asset, index } : asset,
  );
  return { ...callback, assets };
}

function assetTypeOf(url: string): CallbackAsset["type"] {
  const path = url.split(/[?#]/, 1)[0] ?? "";
  if (/\.(?:mp4|webm|mov|mkv)$/i.test(path)) return "video";
  return /\.(?:txt|json|md)$/i.test(path) ? "text" : "image";
}

/** A completed job of a type that makes files has files; a deployment's own types say so in `content_type`. */
function refuseEmptyCompletion(callback: unknown, ctx: z.core.$RefinementCtx): void {
  if (!isJsonObject(callback) || callback.status !== "completed" || !Array.isArray(callback.assets)) return;
  const metadata = isJsonObject(callback.metadata) ? callback.metadata : {};
  const { job_type: type, content_type } = metadata;
  const made = (typeof type === "string" ? contentTypeOf(type) : undefined) ?? content_type;
  if (callback.assets.length > 0 || (made !== "image" && made !== "video")) return;
  const message = `must not be empty: a completed job of this type made at least one ${made}`;
  ctx.addIssue({ code: "custom", path: ["assets"], input: callback.assets, message });
}
