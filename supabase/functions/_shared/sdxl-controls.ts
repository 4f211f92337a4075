import { z } from "zod";
import { inForms, numberFrom, optionalFlag, optionalReference } from "./fields.ts";
import { optional } from "./job.ts";
import { resultFields } from "./result-fields.ts";
import { isGiven, isReference, type JsonObject, nameGiven } from "./synonyms.ts";

/**
 * What SDXL jobs say of pictures that are drawn by: the control picture of a ControlNet, whose lines or depths are kept to, and
 * the picture of an IP-Adapter, which stands beside the prompt. A reference of the types `composition`, `style` and `character`
 * is such a picture where the model has the part for it.
 */

/** Among the parameters: a model may have its own. */
export const controlParameters = {
  /** How much the ControlNet counts; 0 leaves it out. */
  controlnet_conditioning_scale: optional(numberFrom(0, 2)),
  /** Shares of the run between which the ControlNet is asked. */
  control_guidance_start: optional(numberFrom(0, 1)),
  control_guidance_end: optional(numberFrom(0, 1)),
  /** How much the picture beside the prompt counts; 0 leaves it out. */
  ip_adapter_scale: optional(numberFrom(0, 2)),
};

const controlTypeRule =
  "must be the name of one of the model's ControlNets: canny, depth, or what its folder is called by";

export const controlConfig = {
  /** Ready-made: lines, depths or what the ControlNet was trained for. */
  control_image_url: optionalReference,
  /** `canny` of `controlnet_canny/`; needed where the model has several. */
  control_type: optional(z.string(controlTypeRule).regex(/^[a-z0-9_]{1,64}$/, controlTypeRule)).meta(inForms),
  /** The ControlNet is asked for the prompt's half alone, and counts more the deeper it goes. */
  guess_mode: optionalFlag.meta(inForms),
  /** Stands beside the prompt, for models with an IP-Adapter. */
  ip_adapter_image_url: optionalReference,
};

/** What is taken from the reference when it is not the picture to begin with. */
export type ReferenceUse = { readonly type: unknown; readonly isCopy: boolean } | undefined;

type Refuse = (path: [string, string], input: unknown, message: string) => void;

/** A window that ends before it begins would leave the ControlNet out. */
export function checkControlWindow(values: Readonly<JsonObject>, ctx: z.core.$RefinementCtx): void {
  const { control_guidance_start: start = 0, control_guidance_end: end = 1 } = values;
  if (typeof start !== "number" || typeof end !== "number" || start < end) return;
  const isEnd = values.control_guidance_end !== undefined;
  const path = isEnd ? "control_guidance_end" : "control_guidance_start";
  const message = isEnd
    ? `must be more than control_guidance_start (${start})`
    : `must be less than control_guidance_end (${end})`;
  ctx.addIssue({ code: "custom", path: [path], input: values[path], message });
}

/** @param reference undefined for a job without one, or that does not mean it */
export function checkControls(config: JsonObject, reference: ReferenceUse, refuse: Refuse): void {
  for (const name of resultFields["a control picture"]) {
    if (name === "control_image_url" || !isReference(config[name])) continue;
    refuse(["config", name], config[name], "must be left out: give a control picture as config.control_image_url");
  }
  for (const name of resultFields["a picture beside the prompt"]) {
    if (name === "ip_adapter_image_url" || !isReference(config[name])) continue;
    refuse(["config", name], config[name], "must be left out: give the picture as config.ip_adapter_image_url");
  }
  if (reference === undefined) return;
  const given = (name: "control_image_url" | "ip_adapter_image_url", message: string) => {
    if (isReference(config[name])) refuse(["config", name], config[name], `must be left out: ${message}`);
  };
  const { type, isCopy } = reference;
  if (isCopy) {
    given("control_image_url", "an exact copy draws nothing anew");
    given("ip_adapter_image_url", "an exact copy draws nothing anew");
    return;
  }
  if (type === "composition") {
    given("control_image_url", 'metadata.reference_type "composition" takes the layout from the reference');
  }
  if (type === "style" || type === "character") {
    given("ip_adapter_image_url", `metadata.reference_type "${type}" takes the reference for it`);
  }
}

/** Fields that play no part in this job, under the names that it gives them. */
export function unusedControlFields(ofConfig: Readonly<JsonObject>, reference: ReferenceUse): string[] {
  const type = reference?.isCopy === false ? reference.type : undefined;
  const hasControl = isReference(ofConfig.control_image_url) || type === "composition";
  const hasPicture = isReference(ofConfig.ip_adapter_image_url) || type === "style" || type === "character";
  const ofControl = ["controlnet_conditioning_scale", "control_guidance_start", "control_guidance_end"];
  const unread = [
    ...(hasControl ? [] : [...ofControl, "control_type", "guess_mode"]),
    ...(hasPicture ? [] : ["ip_adapter_scale"]),
  ];
  return unread.filter((name) => isGiven(ofConfig[nameGiven(ofConfig, name) ?? name]));
}
