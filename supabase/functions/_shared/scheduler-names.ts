import { nameFrom } from "./fields.ts";

/**
 * The names by which a job may choose a scheduler: what people call it, then diffusers' class name. They are those of the
 * pipelines' registry (`pipelines/schedulers/index.ts`), which this module cannot import; a test compares the two.
 */
export const schedulerNames = ["euler", "EulerDiscreteScheduler"] as const;

/** Those of models that are trained on flow matching (WAN), where `euler` is another class. */
export const flowSchedulerNames = [
  "unipc",
  "dpm++",
  "euler",
  "UniPCMultistepScheduler",
  "DPMSolverMultistepScheduler",
  "FlowMatchEulerDiscreteScheduler",
] as const;

export const schedulerName = nameFrom(schedulerNames);
export const flowSchedulerName = nameFrom(flowSchedulerNames);
