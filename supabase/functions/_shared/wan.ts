import { z } from "zod";
import {
  deliveryFields,
  enhancementFields,
  guidanceScale,
  namedSize,
  numberFrom,
  optionalFlag,
  optionalOneOf,
  optionalReference,
  optionalText,
  passedThrough,
  promptOrEmpty,
  promptText,
  reportLoneSize,
  seed,
  sizeInMultiplesOf,
  steps,
  wholeNumberFrom,
} from "./fields.ts";
import { defaulted, jobEnvelope, optional } from "./job.ts";
import { canonicalJob, isJsonObject } from "./synonyms.ts";

/**
 * WAN jobs under canonical names: `config.width`, `height`, `num_inference_steps`, `guidance_scale`, `scheduler`,
 * `flow_shift`, `frame_num`, `seed`, and the reference frames. Nothing is defaulted, unknown keys are kept.
 */

const configFields = {
  width: optional(sizeInMultiplesOf(16)),
  height: optional(sizeInMultiplesOf(16)),
  size: namedSize,
  resolution: namedSize,
  scheduler: optionalOneOf(["unipc", "dpm++", "euler"]),
  flow_shift: optional(numberFrom(0.1, 20)),
  frame_num: optional(wholeNumberFrom(1, 161)),
  seed,
  enhance_prompt: optionalFlag,
  task: optionalText(64),
  image: optionalReference,
  first_frame: optionalReference,
  last_frame: optionalReference,
  ...deliveryFields,
};

const metadataFields = {
  reference_image_url: optionalReference,
  start_reference_url: optionalReference,
  end_reference_url: optionalReference,
  ...enhancementFields,
};

function wanSchema<Config extends z.ZodType, Metadata extends z.ZodType>(config: Config, metadata: Metadata) {
  const schema = jobEnvelope.extend({
    prompt: promptText,
    negative_prompt: optional(promptOrEmpty),
    image_id: passedThrough,
    video_id: passedThrough,
    character_id: passedThrough,
    config,
    metadata,
  });
  return z.preprocess(canonicalJob, schema.superRefine(checkSize, { when: () => true }));
}

function checkSize(job: unknown, ctx: z.core.$RefinementCtx): void {
  if (isJsonObject(job) && isJsonObject(job.config)) reportLoneSize(job.config, ctx);
}

/** Classic types, with or without prompt enhancement: steps, guidance and the rest may be left out. */
export const wanJob = wanSchema(
  defaulted(
    z
      .looseObject(
        { ...configFields, num_inference_steps: optional(steps), guidance_scale: optional(guidanceScale) },
        "must be an object",
      )
      .prefault({}),
  ),
  defaulted(
    z
      .looseObject({ ...metadataFields, reference_strength: optional(numberFrom(0.1, 1)) }, "must be an object")
      .prefault({}),
  ),
);

/** Pure inference: steps and guidance are the job's own. */
export const wanGenerateJob = wanSchema(
  z.preprocess(
    (value) => value ?? {},
    z.looseObject({ ...configFields, num_inference_steps: steps, guidance_scale: guidanceScale }, "must be an object"),
  ),
  defaulted(
    z
      .looseObject({ ...metadataFields, reference_strength: optional(numberFrom(0, 1)) }, "must be an object")
      .prefault({}),
  ),
);

export type WanJob = z.output<typeof wanJob>;
export type WanGenerateJob = z.output<typeof wanGenerateJob>;

export type ReferenceMode = "single" | "both" | "start" | "end" | "none";

export interface WanReferences {
  readonly single: string | undefined;
  readonly start: string | undefined;
  readonly end: string | undefined;
}

interface WithReferences {
  readonly config: Pick<WanJob["config"], "image" | "first_frame" | "last_frame">;
  readonly metadata: Pick<WanJob["metadata"], "reference_image_url" | "start_reference_url" | "end_reference_url">;
}

/** The reference pictures of a job: those in `config`, and where one is absent its counterpart in `metadata`. */
export function wanReferences({ config, metadata }: WithReferences): WanReferences {
  return {
    single: config.image ?? metadata.reference_image_url,
    start: config.first_frame ?? metadata.start_reference_url,
    end: config.last_frame ?? metadata.end_reference_url,
  };
}

/** What the references condition: a picture alone, first and last frame, one of the two, or nothing. */
export function referenceMode(job: WithReferences): ReferenceMode {
  const { single, start, end } = wanReferences(job);
  if (single !== undefined && start === undefined && end === undefined) return "single";
  if (start !== undefined && end !== undefined) return "both";
  if (start !== undefined) return "start";
  return end === undefined ? "none" : "end";
}
