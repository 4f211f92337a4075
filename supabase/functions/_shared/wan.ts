import { z } from "zod";
import {
  deliveryFields,
  enhancementFields,
  enhancementParameters,
  guidanceScale,
  listed,
  longPromptOrEmpty,
  longPromptText,
  nameFrom,
  noiseKind,
  numberFrom,
  optionalFlag,
  passedThrough,
  pictureFile,
  seed,
  shown,
  sizeInMultiplesOf,
  steps,
  unusedYet,
  wholeNumberFrom,
} from "./fields.ts";
import { defaulted, jobEnvelope, optional } from "./job.ts";
import { flowSchedulerName } from "./scheduler-names.ts";
import { canonicalJob, isJsonObject } from "./synonyms.ts";
import { checkControl, controlConfig, controlParameters } from "./wan-control.ts";
import {
  checkReferences,
  type ReferenceRule,
  referenceConfig,
  referenceConfigOf,
  referenceMetadata,
  referenceParameters,
} from "./wan-references.ts";

/**
 * WAN jobs: `parameters` has what the pipeline does with `config`, and nothing else; the schemas of the job have its other
 * fields, the pictures that a clip is made from among them.
 */

/** What the original command line calls its kinds of models; the pipeline (`pipelines/wan/task.ts`) says what each needs. */
const wanTasks = [
  "t2v-1.3B",
  "t2v-14B",
  "t2v-A14B",
  "t2i-14B",
  "i2v-14B",
  "i2v-A14B",
  "ti2v-5B",
  "flf2v-14B",
  "vace-1.3B",
  "vace-14B",
] as const;

const shared = {
  num_inference_steps: steps,
  guidance_scale: guidanceScale,
  /** Of the second transformer, where the model has two; as the first when left out. */
  guidance_scale_2: optional(guidanceScale),
  /** Timestep of 0…1000 below which the second transformer takes over; the model's own when left out. */
  switch_threshold: optional(numberFrom(0, 1000)),
  seed,
  noise: noiseKind,
  ...referenceParameters,
  ...enhancementParameters,
  /** Name of the original command line: which kind of model is meant. */
  task: optional(nameFrom(wanTasks)),
};

/** The classic default is a portrait clip. */
const portrait = {
  width: sizeInMultiplesOf(16).default(480),
  height: sizeInMultiplesOf(16).default(832),
};

const landscape = {
  width: sizeInMultiplesOf(16).default(1280),
  height: sizeInMultiplesOf(16).default(720),
};

/** Left out: as the model's scheduler_config.json says. */
const modelsOwnSampling = {
  scheduler: optional(flowSchedulerName),
  flow_shift: optional(numberFrom(0.1, 20)),
};

/** What the headless system assumes where neither job nor model says it. */
const headlessSampling = {
  scheduler: flowSchedulerName.default("euler"),
  flow_shift: numberFrom(0.1, 20).default(7),
};

const videoFormats = ["mp4", "webm", "webp"] as const;

type VideoFormat = (typeof videoFormats)[number];

/** The end of each encoder's own scale. */
export const maxCrf: Readonly<Record<VideoFormat, number>> = { mp4: 51, webm: 63, webp: 100 };
const maxFrames = 161;
const minVideoFrames = 5;
const minControlledFrames = 17;

/**
 * Width × height × frames of one clip: 1280 × 720 for the longest. A transformer's work grows with the square of that, so a
 * clip that is larger in every way would hold a card for hours, or not fit into it.
 */
const maxPixels = 1280 * 720 * maxFrames;

/** The file that frames become. */
const videoFile = {
  fps: wholeNumberFrom(1, 60).default(16),
  video_format: z.enum(videoFormats, { error: `must be ${listed(videoFormats)}` }).default("mp4"),
  /** Quality on the encoder's own scale, lower is better; each format has its default, and its end of the scale. */
  crf: optional(numberFrom(0, Math.max(...Object.values(maxCrf)))),
  /** Further files: the first frame in full size, frames from beginning to end. */
  poster: optionalFlag,
  contact_sheet: optionalFlag,
};

const classic = { ...portrait, ...modelsOwnSampling, ...shared };

/** Classic pictures: one frame. */
export const wanImageParameters = z.object({ ...classic, ...pictureFile });

/** Classic clips. The model makes 4n+1 frames: other counts are rounded down, and both numbers reported. */
export const wanVideoParameters = z
  .object({
    ...classic,
    frame_num: wholeNumberFrom(minVideoFrames, maxFrames).default(83),
    ...videoFile,
  })
  .superRefine(checkPixels)
  .superRefine(checkCrf);

/** Pure inference: exactly as many frames as the job says; one is a picture. */
export const wanGenerateParameters = z
  .object({
    ...classic,
    frame_num: wholeNumberFrom(1, maxFrames).default(81),
    ...videoFile,
    ...pictureFile,
  })
  .superRefine(checkPixels)
  .superRefine(checkCrf);

/** Clips of the headless system, with exactly as many frames as the job says. */
export const textToVideoParameters = headlessParameters(minVideoFrames, {});

/** Clips that follow a control. */
export const vaceParameters = headlessParameters(minControlledFrames, controlParameters);

function headlessParameters<More extends z.ZodRawShape>(minFrames: number, more: More) {
  return z
    .object({
      ...landscape,
      frame_num: wholeNumberFrom(minFrames, maxFrames).default(49),
      ...more,
      ...videoFile,
      ...headlessSampling,
      ...shared,
    })
    .superRefine(checkPixels)
    .superRefine(checkCrf);
}

function checkPixels(values: unknown, ctx: z.core.$RefinementCtx): void {
  // What is wrong by itself has been reported.
  if (!isJsonObject(values) || ctx.issues.length > 0) return;
  const { width, height, frame_num: frames } = values;
  if (typeof width !== "number" || typeof height !== "number" || typeof frames !== "number") return;
  if (width * height * frames <= maxPixels) return;
  const fitting = Math.floor(maxPixels / (width * height));
  const limit = `a clip has at most ${shown(maxPixels)} pixels in all frames (1280×720 with ${maxFrames})`;
  const message = `must be at most ${fitting} at ${width}×${height}, since ${limit}: send fewer frames, or a smaller size`;
  ctx.addIssue({ code: "custom", path: ["frame_num"], input: frames, message });
}

/** Pictures of the headless system. */
export const textToImageParameters = z.object({ ...landscape, ...headlessSampling, ...shared, ...pictureFile });

function checkCrf(values: unknown, ctx: z.core.$RefinementCtx): void {
  if (!isJsonObject(values)) return;
  const { crf, video_format: format = "mp4" } = values;
  const known = videoFormats.find((name) => name === format);
  if (typeof crf !== "number" || known === undefined || crf <= maxCrf[known]) return;
  // What is out of range for every format has been reported.
  if (crf > maxCrf.webp) return;
  ctx.addIssue({ code: "custom", path: ["crf"], input: crf, message: `must be at most ${maxCrf[known]} for ${known}` });
}

const oneFrame = z.literal(1, { error: "must be 1, or left out: this job type makes a picture" });

const wanFields = jobEnvelope.extend({
  prompt: longPromptText,
  negative_prompt: optional(longPromptOrEmpty),
  image_id: passedThrough,
  video_id: passedThrough,
  character_id: passedThrough,
  metadata: defaulted(z.looseObject({ ...referenceMetadata, ...enhancementFields }, "must be an object").prefault({})),
});

/** @param rule which pictures the job type takes */
function wanSchema(rule: ReferenceRule) {
  const config = z.looseObject(
    {
      ...(rule === "picture" ? { frame_num: optional(oneFrame).meta(unusedYet) } : {}),
      ...referenceConfigOf(rule),
      ...deliveryFields,
    },
    "must be an object",
  );
  const schema = wanFields
    .extend({ config: defaulted(config.prefault({})) })
    // `when`: together with the fields that are wrong by themselves.
    .superRefine(checkReferences(rule), { when: () => true });
  return z.preprocess(canonicalJob, schema);
}

/** Job types that make clips. */
export const wanVideoJob = wanSchema("clip");

/** Job types that make one picture. */
export const wanImageJob = wanSchema("picture");

/** Job types whose clips begin with a picture. */
export const firstFrameJob = wanSchema("first-frame");

/** Job types whose clips begin and end with a picture. */
export const firstLastFrameJob = wanSchema("first-last-frame");

const controlledConfig = z.looseObject(
  { ...referenceConfig, ...controlConfig, ...deliveryFields },
  "must be an object",
);

/** Job types whose clips follow a control video and pictures. */
export const vaceJob = z.preprocess(
  canonicalJob,
  wanFields
    .extend({ config: defaulted(controlledConfig.prefault({})) })
    .superRefine(checkReferences("clip"), { when: () => true })
    .superRefine(checkControl, { when: () => true }),
);
