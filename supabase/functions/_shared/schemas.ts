import { chatJob, chatParameters, enhanceJob } from "./chat.ts";
import type { JobSchema } from "./check-job.ts";
import { isJobType, type JobType, jobTypes } from "./job-types.ts";
import { sdxlGenerateParameters, sdxlJob, sdxlParameters } from "./sdxl.ts";
import { wanGenerateJob, wanJob, wanParameters } from "./wan.ts";

const sdxl = { input: sdxlJob, parameters: sdxlParameters };
const wan = { input: wanJob, parameters: wanParameters };
const enhance = { input: enhanceJob, parameters: chatParameters };

/** What every job type takes; a type without an entry does not compile. */
const schemas = {
  sdxl_image_fast: sdxl,
  sdxl_image_high: sdxl,
  sdxl_generate: { input: sdxlJob, parameters: sdxlGenerateParameters },
  image_fast: wan,
  image_high: wan,
  video_fast: wan,
  video_high: wan,
  image7b_fast_enhanced: wan,
  image7b_high_enhanced: wan,
  video7b_fast_enhanced: wan,
  video7b_high_enhanced: wan,
  wan_generate: { input: wanGenerateJob, parameters: wanParameters },
  enhance_base: enhance,
  enhance_instruct: enhance,
  chat: { input: chatJob, parameters: chatParameters },
} as const satisfies Record<JobType, JobSchema>;

/** Undefined for a job type of a deployment's own, which its containers know. */
export function schemaOf(type: string): JobSchema | undefined {
  return isJobType(type) ? { ...schemas[type], defaults: defaultsOf(type) } : undefined;
}

/** The classic types' steps and guidance; nothing where the job must say them itself. */
function defaultsOf(type: JobType): Readonly<Record<string, unknown>> {
  const { steps, guidance } = jobTypes[type];
  return steps === null ? {} : { num_inference_steps: steps, guidance_scale: guidance };
}
