import { z } from "zod";
import { listed } from "./fields.ts";

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

/** One of the names, in any case, and then as it is written above. */
function nameFrom<const Names extends readonly [string, ...string[]]>(names: Names) {
  return z.preprocess(
    (value) => (typeof value === "string" ? (knownAs(names, value) ?? value) : (value ?? undefined)),
    z.enum(names, { error: `must be ${listed(names)}` }),
  );
}

export const schedulerName = nameFrom(schedulerNames);
export const flowSchedulerName = nameFrom(flowSchedulerNames);

function knownAs(names: readonly string[], name: string): string | undefined {
  return names.find((known) => known.toLowerCase() === name.toLowerCase());
}
