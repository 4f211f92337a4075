import { chatDefaults, chatJob, chatParameters, enhanceJob, enhanceParameters } from "./chat.ts";
import type { JobSchema } from "./check-job.ts";
import { isJobType, type JobType, jobTypes } from "./job-types.ts";
import { sdxlGenerateParameters, sdxlJob, sdxlParameters, unusedSdxlFields } from "./sdxl.ts";
import { referenceDefaults } from "./sdxl-references.ts";
import {
  firstFrameJob,
  firstLastFrameJob,
  textToImageParameters,
  textToVideoParameters,
  vaceJob,
  vaceParameters,
  wanGenerateParameters,
  wanImageJob,
  wanImageParameters,
  wanVideoJob,
  wanVideoParameters,
} from "./wan.ts";
import { unusedVaceFields } from "./wan-control.ts";
import { unusedWanFields, referenceDefaults as wanReferenceDefaults } from "./wan-references.ts";

const sdxlPure = { input: sdxlJob, parameters: sdxlGenerateParameters, unusedFields: unusedSdxlFields };
const sdxl = { ...sdxlPure, parameters: sdxlParameters, defaultsFor: referenceDefaults };
const wan = { defaultsFor: wanReferenceDefaults, unusedFields: unusedWanFields };
const wanImage = { ...wan, input: wanImageJob, parameters: wanImageParameters };
const wanVideo = { ...wan, input: wanVideoJob, parameters: wanVideoParameters };
const wanPure = { input: wanVideoJob, parameters: wanGenerateParameters, unusedFields: unusedWanFields };
const headlessVideo = { ...wan, input: wanVideoJob, parameters: textToVideoParameters };
const controlled = { ...wan, input: vaceJob, parameters: vaceParameters, unusedFields: unusedVaceFields };
const firstFrame = { ...headlessVideo, input: firstFrameJob };
const enhance = { input: enhanceJob, parameters: enhanceParameters };
const enhanced = { defaults: { enhance_prompt: true } };

/** What every job type takes; a type without an entry does not compile. */
const schemas = {
  sdxl_image_fast: sdxl,
  sdxl_image_high: sdxl,
  sdxl_generate: sdxlPure,
  image_fast: wanImage,
  image_high: wanImage,
  video_fast: wanVideo,
  video_high: wanVideo,
  image7b_fast_enhanced: { ...wanImage, ...enhanced },
  image7b_high_enhanced: { ...wanImage, ...enhanced },
  video7b_fast_enhanced: { ...wanVideo, ...enhanced },
  video7b_high_enhanced: { ...wanVideo, ...enhanced },
  wan_generate: wanPure,
  t2v: headlessVideo,
  t2v_22: headlessVideo,
  generate_video: headlessVideo,
  i2v: firstFrame,
  i2v_22: firstFrame,
  flf2v: { ...headlessVideo, input: firstLastFrameJob },
  vace: controlled,
  vace_21: controlled,
  vace_22: controlled,
  wan_2_2_t2i: { ...wan, input: wanImageJob, parameters: textToImageParameters },
  enhance_base: enhance,
  enhance_instruct: enhance,
  chat: { input: chatJob, parameters: chatParameters, defaults: chatDefaults },
} as const satisfies Record<JobType, JobSchema>;

/** Undefined for a job type of a deployment's own, which its containers know. */
export function schemaOf(type: string): JobSchema | undefined {
  if (!isJobType(type)) return undefined;
  const schema: JobSchema = schemas[type];
  return { ...schema, defaults: { ...schema.defaults, ...samplingOf(type) } };
}

/** The type's own steps and guidance; nothing where the job must say them itself. */
function samplingOf(type: JobType): Readonly<Record<string, unknown>> {
  const { steps, guidance } = jobTypes[type];
  return steps === null ? {} : { num_inference_steps: steps, guidance_scale: guidance };
}
