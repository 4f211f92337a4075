import { z } from "zod";
import { invalidJob, unsupportedOption } from "#pipelines/core/errors.ts";

/** What {@link import("./generate-images.ts").generateImages} reads of a job. */
export interface ImageJob {
  readonly prompt: string;
  /** Absent and empty differ: see `force_zeros_for_empty_prompt`. */
  readonly negative_prompt?: string | undefined;
  readonly compel_enabled?: boolean | undefined;
  readonly compel_weights?: string | undefined;
  readonly config: Readonly<Record<string, unknown>>;
  readonly metadata: Readonly<Record<string, unknown>>;
}

const size = () => z.int().min(64).max(2048).multipleOf(8).default(1024);

const maxSeed = 2 ** 53;

/** Parameters of an image job with their ranges and the system's defaults. */
export const imageParameters = z.object({
  width: size(),
  height: size(),
  num_inference_steps: z.int().min(1).max(150),
  guidance_scale: z.number().min(0).max(30),
  guidance_rescale: z.number().min(0).max(1).optional(),
  /** Absent: drawn at random, and reported. 2^53 is a legal seed, and `int()` ends one below it. */
  seed: z.number().multipleOf(1).min(0).max(maxSeed).optional(),
  num_images: z.int().min(1).max(6).default(1),
  scheduler: z.string().min(1).max(64).optional(),
  clip_skip: z.int().min(0).max(12).optional(),
});

export type ImageParameters = z.output<typeof imageParameters>;

const pictureKeys = ["image", "image_url", "init_image", "reference_image_url", "mask_image_url"] as const;

/**
 * Refuses jobs that start from a picture. A `denoise_strength` alone says nothing: some producers send one with every
 * job. `config.pipeline: "txt2img"` says that a reference in the metadata is not meant for the model.
 * @throws PipelineError UNSUPPORTED_OPTION naming the field
 */
export function checkDrawsFromText({ config, metadata }: ImageJob): void {
  const field =
    pictureKeys.filter((key) => isGiven(config[key])).map((key) => `config.${key}`)[0] ??
    (isGiven(config.pipeline) && config.pipeline !== "txt2img" ? "config.pipeline" : undefined) ??
    (isGiven(metadata.reference_image_url) && config.pipeline !== "txt2img"
      ? "metadata.reference_image_url"
      : undefined);
  if (field !== undefined) {
    throw unsupportedOption(`this pipeline draws from text only: the job must not have ${field}`);
  }
}

/**
 * One seed per image: image i uses `seed + i`.
 * @param seed drawn at random below 2^32 when absent
 * @throws PipelineError INVALID_JOB when the last seed is no exact number any more
 */
export function imageSeeds({ seed, num_images: count }: Pick<ImageParameters, "seed" | "num_images">): number[] {
  const first = seed ?? crypto.getRandomValues(new Uint32Array(1))[0] ?? 0;
  if (first + count - 1 > maxSeed) {
    throw invalidJob(`seed must be at most 2^53 − ${count - 1} for ${count} images, not ${first}`);
  }
  return Array.from({ length: count }, (_, index) => first + index);
}

function isGiven(value: unknown): boolean {
  return value !== undefined && value !== null && value !== "";
}
