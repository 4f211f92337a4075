import { z } from "zod";
import { listed } from "./fields.ts";

/**
 * The names by which a job may choose a scheduler: what people call it, then diffusers' class name. They are those of the
 * pipelines' registry (`pipelines/schedulers/index.ts`), which this module cannot import; a test compares the two.
 */
export const schedulerNames = ["euler", "EulerDiscreteScheduler"] as const;

/** One of them, in any case, and then as it is written above. */
export const schedulerName = z.preprocess(
  (value) => (typeof value === "string" ? (knownAs(value) ?? value) : (value ?? undefined)),
  z.enum(schedulerNames, { error: `must be ${listed(schedulerNames)}` }),
);

function knownAs(name: string): string | undefined {
  return schedulerNames.find((known) => known.toLowerCase() === name.toLowerCase());
}
