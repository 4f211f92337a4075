import { z } from "zod";
import {
  deliveryFields,
  fromDecimal,
  guidanceScale,
  namedSize,
  numberFrom,
  optionalFlag,
  optionalOneOf,
  optionalReference,
  optionalText,
  passedThrough,
  promptOrEmpty,
  promptRule,
  reportLoneSize,
  seed,
  sizeInMultiplesOf,
  steps,
  wholeNumberFrom,
} from "./fields.ts";
import { defaulted, jobEnvelope, optional } from "./job.ts";
import { canonicalJob, isGiven, isJsonObject, isReference } from "./synonyms.ts";

/**
 * SDXL jobs under canonical names: `config.width`, `height`, `num_inference_steps`, `guidance_scale`, `scheduler`,
 * `seed`, `num_images`, `denoise_strength`; the reference picture in `metadata.reference_image_url`. Nothing is
 * defaulted: what the job does not give is absent here, so that the model's and the handler's values can apply.
 * Keys that the schema does not know are kept.
 */

const strength = optional(numberFrom(0, 1));

const configFields = {
  width: optional(sizeInMultiplesOf(8)),
  height: optional(sizeInMultiplesOf(8)),
  size: namedSize,
  resolution: namedSize,
  scheduler: optionalText(64),
  seed,
  denoise_strength: strength,
  pipeline: optionalOneOf(["txt2img", "img2img"]),
  mask_image_url: optionalReference,
  ...deliveryFields,
};

const metadataFields = {
  reference_image_url: optionalReference,
  reference_type: optionalOneOf(["style", "composition", "character"]),
  denoise_strength: strength,
  exact_copy_mode: optionalFlag,
  reference_mode: optionalOneOf(["modify", "copy"]),
};

const oneThreeOrSix = z.preprocess(fromDecimal, z.literal([1, 3, 6], { error: "must be 1, 3 or 6" }));

function sdxlSchema<Config extends z.ZodType, Metadata extends z.ZodType>(config: Config, metadata: Metadata) {
  const schema = jobEnvelope.extend({
    prompt: optional(promptOrEmpty),
    negative_prompt: optional(promptOrEmpty),
    compel_enabled: optionalFlag,
    compel_weights: optionalText(8000),
    image_id: passedThrough,
    video_id: passedThrough,
    character_id: passedThrough,
    config,
    metadata,
  });
  // `when`: the rules between fields are reported together with the fields that are wrong by themselves.
  return z.preprocess(
    canonicalJob,
    schema
      .superRefine(checkBetweenFields, { when: () => true })
      .transform((job) => ({ ...job, prompt: job.prompt ?? "" })),
  );
}

/** Classic types: `num_images` is 1, 3 or 6; steps, guidance and the rest may be left out. */
export const sdxlJob = sdxlSchema(
  defaulted(
    z
      .looseObject(
        {
          ...configFields,
          num_inference_steps: optional(steps),
          guidance_scale: optional(guidanceScale),
          num_images: optional(oneThreeOrSix),
        },
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

/** Pure inference: steps and guidance are the job's own, and 1 to 6 images. */
export const sdxlGenerateJob = sdxlSchema(
  z.preprocess(
    (value) => value ?? {},
    z.looseObject(
      {
        ...configFields,
        num_inference_steps: steps,
        guidance_scale: guidanceScale,
        num_images: optional(wholeNumberFrom(1, 6)),
      },
      "must be an object",
    ),
  ),
  defaulted(
    z
      .looseObject({ ...metadataFields, reference_strength: optional(numberFrom(0, 1)) }, "must be an object")
      .prefault({}),
  ),
);

export type SdxlJob = z.output<typeof sdxlJob>;
export type SdxlGenerateJob = z.output<typeof sdxlGenerateJob>;

/** Whether the reference is to be copied as it is; such a job needs no prompt. */
export function isExactCopy(metadata: Readonly<Record<string, unknown>>): boolean {
  return metadata.exact_copy_mode === true || metadata.reference_mode === "copy";
}

/**
 * Whether the job starts from a picture: it has a reference, or says so in `config.pipeline`. A `denoise_strength`
 * alone does not make it image-to-image: some producers send one with every job.
 */
export function isImageToImage(job: {
  readonly config: Pick<SdxlJob["config"], "pipeline">;
  readonly metadata: Readonly<Record<string, unknown>>;
}): boolean {
  return job.config.pipeline === "img2img" || (job.config.pipeline === undefined && hasReference(job.metadata));
}

function hasReference(metadata: Readonly<Record<string, unknown>>): boolean {
  return isReference(metadata.reference_image_url);
}

/** Whether it says what to draw. "" does: anything. White space alone is a slip, and what is no text has a rule of its own. */
function isPrompt(prompt: unknown): boolean {
  return typeof prompt === "string" ? prompt === "" || prompt.trim() !== "" : isGiven(prompt);
}

function checkBetweenFields(job: unknown, ctx: z.core.$RefinementCtx): void {
  if (!isJsonObject(job)) return;
  const config = isJsonObject(job.config) ? job.config : {};
  const metadata = isJsonObject(job.metadata) ? job.metadata : {};
  if (!isPrompt(job.prompt) && !(isExactCopy(metadata) && hasReference(metadata))) {
    const message = `${promptRule} (only an exact copy of a reference image needs none, and "" asks for any picture)`;
    ctx.addIssue({ code: "custom", path: ["prompt"], input: job.prompt, message });
  }
  if (config.pipeline === "img2img" && !hasReference(metadata)) {
    const message = 'must be given, because config.pipeline is "img2img"';
    ctx.addIssue({ code: "custom", path: ["metadata", "reference_image_url"], input: undefined, message });
  }
  reportLoneSize(config, ctx);
}
