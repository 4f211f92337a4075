import { z } from "zod";
import {
  deliveryFields,
  enhancementFields,
  guidanceScale,
  numberFrom,
  optionalFlag,
  optionalOneOf,
  optionalReference,
  optionalText,
  passedThrough,
  promptOrEmpty,
  promptText,
  seed,
  sizeInMultiplesOf,
  steps,
  wholeNumberFrom,
} from "./fields.ts";
import { defaulted, jobEnvelope, optional } from "./job.ts";
import { canonicalJob } from "./synonyms.ts";

/**
 * WAN jobs: `parameters` has the settings in `config`, the schemas of the job its other fields. Nothing is defaulted, unknown
 * keys are kept.
 */

export const wanParameters = z.object({
  width: optional(sizeInMultiplesOf(16)),
  height: optional(sizeInMultiplesOf(16)),
  num_inference_steps: steps,
  guidance_scale: guidanceScale,
  scheduler: optionalOneOf(["unipc", "dpm++", "euler"]),
  flow_shift: optional(numberFrom(0.1, 20)),
  frame_num: optional(wholeNumberFrom(1, 161)),
  seed,
  enhance_prompt: optionalFlag,
  task: optionalText(64),
  image: optionalReference,
  first_frame: optionalReference,
  last_frame: optionalReference,
});

export type WanParameters = z.output<typeof wanParameters>;

/** @param least reference strength */
function wanSchema(least: number) {
  const schema = jobEnvelope.extend({
    prompt: promptText,
    negative_prompt: optional(promptOrEmpty),
    image_id: passedThrough,
    video_id: passedThrough,
    character_id: passedThrough,
    config: defaulted(z.looseObject(deliveryFields, "must be an object").prefault({})),
    metadata: defaulted(
      z
        .looseObject(
          {
            reference_image_url: optionalReference,
            start_reference_url: optionalReference,
            end_reference_url: optionalReference,
            reference_strength: optional(numberFrom(least, 1)),
            ...enhancementFields,
          },
          "must be an object",
        )
        .prefault({}),
    ),
  });
  return z.preprocess(canonicalJob, schema);
}

/** Classic types, with or without prompt enhancement. */
export const wanJob = wanSchema(0.1);

/** Pure inference. */
export const wanGenerateJob = wanSchema(0);

export type WanJob = z.output<typeof wanJob>;
export type WanGenerateJob = z.output<typeof wanGenerateJob>;

export type ReferenceMode = "single" | "both" | "start" | "end" | "none";

export interface WanReferences {
  readonly single: string | undefined;
  readonly start: string | undefined;
  readonly end: string | undefined;
}

interface WithReferences {
  readonly config: Pick<WanParameters, "image" | "first_frame" | "last_frame">;
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
