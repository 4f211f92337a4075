import type { FieldProblem } from "./job.ts";
import { shortened } from "./problems.ts";
import { isGiven, type JsonObject } from "./synonyms.ts";

/**
 * Fields that make another result than the prompt alone, by what they give. A job type that does not read one refuses it:
 * left out silently, it would be another picture than the one that was asked for. What only tunes a result, such as
 * `strength` without a picture, is listed as ignored, since some producers send it with every job.
 */
export const resultFields = {
  "a picture to begin with": [
    "image",
    "image_url",
    "init_image",
    "init_image_url",
    "input_image",
    "first_frame",
    "last_frame",
  ],
  "a video to begin with": ["video", "video_url", "init_video", "control_video", "video_guide"],
  "a mask": ["mask", "mask_url", "mask_image", "mask_image_url", "inpaint_mask", "video_mask"],
  "a control picture": ["controlnet", "controlnets", "control_net", "control_image", "control_image_url"],
  "a picture beside the prompt": ["ip_adapter", "ip_adapter_image", "ip_adapter_image_url"],
  "a LoRA": ["lora", "loras", "lora_url", "lora_weights", "activated_loras", "additional_loras"],
} as const satisfies Readonly<Record<string, readonly string[]>>;

const fields: readonly (readonly [string, string])[] = Object.entries(resultFields).flatMap(([what, names]) =>
  names.map((name) => [name, what] as const),
);

export const resultFieldNames: readonly string[] = fields.map(([name]) => name);

/**
 * @param place where the fields are given: `config.`, or nothing for the top of the job
 * @param isRead whether the job type does something with a field
 */
export function resultFieldProblems(
  given: Readonly<JsonObject>,
  place: "config." | "",
  isRead: (name: string) => boolean,
): FieldProblem[] {
  return fields
    .filter(([name]) => isSomething(given[name]) && !isRead(name))
    .map(([name, what]) => ({
      field: `${place}${name}`,
      value: shortened(given[name]),
      message: `must be left out: jobs of this type do nothing with ${what}`,
    }));
}

/** Producers fill in forms: nothing is also "", false, 0 and what has no entries. */
function isSomething(value: unknown): boolean {
  if (!isGiven(value) || value === "" || value === false || value === 0) return false;
  return typeof value !== "object" || Object.keys(Object(value)).length > 0;
}
