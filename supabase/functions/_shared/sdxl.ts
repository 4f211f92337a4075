import { z } from "zod";
import { fromDecimal } from "./decimal.ts";
import {
  deliveryFields,
  enhancementFields,
  enhancementParameters,
  guidanceScale,
  largestSeed,
  noiseKind,
  numberFrom,
  optionalFlag,
  optionalText,
  passedThrough,
  pictureFile,
  promptOrEmpty,
  promptRule,
  seed,
  sizeInMultiplesOf,
  steps,
  wholeNumberFrom,
} from "./fields.ts";
import { defaulted, jobEnvelope, optional } from "./job.ts";
import { onePhaseLoras } from "./loras.ts";
import { schedulerName } from "./scheduler-names.ts";
import { checkControlWindow, controlConfig, controlParameters } from "./sdxl-controls.ts";
import {
  checkReferences,
  isExactCopy,
  referenceConfig,
  referenceMetadata,
  referenceParameters,
  unusedReferenceFields,
  withReferenceValues,
} from "./sdxl-references.ts";
import { canonicalJob, isGiven, isJsonObject, type JsonObject } from "./synonyms.ts";

/**
 * SDXL jobs. `parameters` has what the pipeline does with `config`, and nothing else; the schema of the job has its other
 * fields, and refuses by name what the wire knows and nothing here draws.
 */

const oneThreeOrSix = z.preprocess(fromDecimal, z.literal([1, 3, 6], { error: "must be 1, 3 or 6" }));

function parameters<Images extends z.ZodType<number>>(images: Images) {
  return z
    .object({
      width: sizeInMultiplesOf(8).default(1024),
      height: sizeInMultiplesOf(8).default(1024),
      num_inference_steps: steps,
      guidance_scale: guidanceScale,
      guidance_rescale: optional(numberFrom(0, 1)),
      scheduler: optional(schedulerName),
      /** How much of its own noise `ddim` adds, and the γ of `tcd`; left out: none, as in diffusers' pipelines. */
      eta: optional(numberFrom(0, 1)),
      noise: noiseKind,
      /** Drawn at random where no tier has one, and reported. */
      seed,
      num_images: images,
      /** Layers of the text encoders to leave out, beyond the last one. */
      clip_skip: optional(wholeNumberFrom(0, 12)),
      /** The share of the noise after which the model's refiner goes on; 1: none does. */
      denoising_end: optional(numberFrom(0, 1)),
      /** What a refiner is shown. */
      aesthetic_score: optional(numberFrom(0, 10)),
      negative_aesthetic_score: optional(numberFrom(0, 10)),
      ...pictureFile,
      ...referenceParameters,
      ...controlParameters,
      ...enhancementParameters,
      /** One list of files and strengths, however the job names them. */
      loras: optional(onePhaseLoras),
    })
    .superRefine(checkSeeds, { when: () => true })
    .superRefine(checkWindow, { when: () => true });
}

/** Classic types: 1, 3 or 6 pictures. */
export const sdxlParameters = parameters(oneThreeOrSix.default(1));

/** Pure inference: any number of pictures from 1 to 6. */
export const sdxlGenerateParameters = parameters(wholeNumberFrom(1, 6).default(1));

export type SdxlParameters = z.output<typeof sdxlGenerateParameters>;

function checkWindow(values: unknown, ctx: z.core.$RefinementCtx): void {
  if (isJsonObject(values)) checkControlWindow(values, ctx);
}

/** Picture i has `seed + i`: a seed beyond 2^53 would draw the one before it again. */
function checkSeeds(values: unknown, ctx: z.core.$RefinementCtx): void {
  if (!isJsonObject(values)) return;
  const { seed: first, num_images: count } = values;
  if (typeof first !== "number" || typeof count !== "number") return;
  // What is out of range by itself has been reported.
  if (first > largestSeed || first <= largestSeed - (count - 1)) return;
  const message = `must be at most 2^53 - ${count - 1} for ${count} pictures: each one's seed is one more than the last`;
  ctx.addIssue({ code: "custom", path: ["seed"], input: first, message });
}

/** All three types take the same fields beside `parameters`. */
export const sdxlJob = z.preprocess(
  canonicalJob,
  jobEnvelope
    .extend({
      prompt: optional(promptOrEmpty),
      negative_prompt: optional(promptOrEmpty),
      compel_enabled: optionalFlag,
      compel_weights: optionalText(8000),
      image_id: passedThrough,
      video_id: passedThrough,
      character_id: passedThrough,
      config: defaulted(
        z.looseObject({ ...referenceConfig, ...controlConfig, ...deliveryFields }, "must be an object").prefault({}),
      ),
      metadata: defaulted(
        z.looseObject({ ...referenceMetadata, ...enhancementFields }, "must be an object").prefault({}),
      ),
    })
    // `when`: the rules between fields are reported together with the fields that are wrong by themselves.
    .superRefine(checkPrompt, { when: () => true })
    .superRefine(checkReferences, { when: () => true })
    .transform((job) => withReferenceValues({ ...job, prompt: job.prompt ?? "" })),
);

/** Fields of a job that play no part in it: of a reference that is not there, and weights that are not turned on. */
export function unusedSdxlFields(written: Readonly<JsonObject>): string[] {
  const hasWeights = typeof written.compel_weights === "string" && written.compel_weights.trim() !== "";
  const unread = hasWeights && written.compel_enabled !== true ? ["compel_weights"] : [];
  return [...unread, ...unusedReferenceFields(written)];
}

export type SdxlJob = z.output<typeof sdxlJob>;

function checkPrompt(job: unknown, ctx: z.core.$RefinementCtx): void {
  if (!isJsonObject(job) || isPrompt(job.prompt) || isExactCopy(job)) return;
  const message = `${promptRule} ("" asks for any picture)`;
  ctx.addIssue({ code: "custom", path: ["prompt"], input: job.prompt, message });
}

/** Whether it says what to draw. "" does: anything. White space alone is a slip, and what is no text has a rule of its own. */
function isPrompt(prompt: unknown): boolean {
  return typeof prompt === "string" ? prompt === "" || prompt.trim() !== "" : isGiven(prompt);
}
