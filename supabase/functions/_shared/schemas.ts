import type { z } from "zod";
import { chatJob, enhanceJob } from "./chat.ts";
import { isJobType, type JobType } from "./job-types.ts";
import { sdxlGenerateJob, sdxlJob } from "./sdxl.ts";
import { wanGenerateJob, wanJob } from "./wan.ts";

/** The schema of every job type; a type without one does not compile. */
const schemas = {
  sdxl_image_fast: sdxlJob,
  sdxl_image_high: sdxlJob,
  sdxl_generate: sdxlGenerateJob,
  image_fast: wanJob,
  image_high: wanJob,
  video_fast: wanJob,
  video_high: wanJob,
  image7b_fast_enhanced: wanJob,
  image7b_high_enhanced: wanJob,
  video7b_fast_enhanced: wanJob,
  video7b_high_enhanced: wanJob,
  wan_generate: wanGenerateJob,
  enhance_base: enhanceJob,
  enhance_instruct: enhanceJob,
  chat: chatJob,
} as const satisfies Record<JobType, z.ZodType>;

/** Undefined for a job type of a deployment's own. */
export function schemaOf(type: string): z.ZodType | undefined {
  return isJobType(type) ? schemas[type] : undefined;
}
