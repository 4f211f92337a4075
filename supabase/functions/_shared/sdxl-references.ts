import type { z } from "zod";
import { looseNumber } from "./decimal.ts";
import { colour, numberFrom, optionalFlag, optionalOneOf, optionalReference } from "./fields.ts";
import { optional } from "./job.ts";
import { resultFields } from "./result-fields.ts";
import { checkControls, type ReferenceUse, unusedControlFields } from "./sdxl-controls.ts";
import { canonicalJob, isGiven, isJsonObject, isReference, type JsonObject, nameGiven } from "./synonyms.ts";

/**
 * What SDXL jobs say of a picture to begin with: its address and what is taken from it are in `metadata`, the mask and how
 * strongly it is changed in `config`. `config.pipeline: "txt2img"` says that the reference is not meant.
 */

const referenceTypes = ["style", "composition", "character"] as const;

/** Among the parameters: a model may have its own. */
export const referenceParameters = {
  /** Share of the steps that are run on the reference: 0 leaves it as it is, 1 leaves nothing of it. */
  denoise_strength: optional(numberFrom(0, 1)),
  /** `cover` takes the middle of the reference in the picture's size; `contain` all of it, on a blurred one. */
  reference_fit: optionalOneOf(["cover", "contain"]),
  /** What transparent parts of the reference are laid on; white when left out. */
  reference_background: optional(colour),
};

export const referenceConfig = {
  pipeline: optionalOneOf(["txt2img", "img2img"]),
  /** White where the reference is drawn anew. */
  mask_image_url: optionalReference,
};

export const referenceMetadata = {
  reference_image_url: optionalReference,
  reference_type: optionalOneOf(referenceTypes),
  /** 1 − `denoise_strength`, which goes first. */
  reference_strength: optional(numberFrom(0, 1)),
  denoise_strength: optional(numberFrom(0, 1)),
  exact_copy_mode: optionalFlag,
  reference_mode: optionalOneOf(["modify", "copy"]),
};

const partOf = (job: Readonly<JsonObject>, name: string): JsonObject => {
  const part = job[name];
  return isJsonObject(part) ? part : {};
};

/** Whether the job begins with its reference. */
function usesReference(job: Readonly<JsonObject>): boolean {
  return partOf(job, "config").pipeline !== "txt2img" && isReference(partOf(job, "metadata").reference_image_url);
}

/** Whether the reference is to be drawn as it is; such a job needs no prompt. */
export function isExactCopy(job: Readonly<JsonObject>): boolean {
  const { exact_copy_mode, reference_mode } = partOf(job, "metadata");
  return usesReference(job) && (exact_copy_mode === true || reference_mode === "copy");
}

/** What is taken from the job's reference; undefined without one. */
function referenceUse(job: Readonly<JsonObject>): ReferenceUse {
  if (!usesReference(job)) return undefined;
  return { type: partOf(job, "metadata").reference_type, isCopy: isExactCopy(job) };
}

/** What jobs with a reference are drawn with unless they, or their model, say otherwise. */
const modifyDefaults = { num_inference_steps: 20, guidance_scale: 6 } as const;
const copyValues = { num_inference_steps: 15, guidance_scale: 1, denoise_strength: 0.05 } as const;

/** Defaults of a classic job type that depend on the job; undefined for its own. */
export function referenceDefaults(job: Readonly<JsonObject>): Readonly<JsonObject> | undefined {
  return usesReference(job) ? modifyDefaults : undefined;
}

/**
 * The job with `config.denoise_strength` as all of its fields say it: its own, that of `metadata`, 1 − `reference_strength`.
 * An exact copy has its few steps and no guidance whatever its model prefers. A job without reference loses the strength.
 */
export function withReferenceValues<Job extends { readonly config: JsonObject }>(job: Job): Job {
  const { denoise_strength: own, ...config } = job.config;
  if (!usesReference(job)) return isGiven(own) ? { ...job, config } : job;
  const strength = own ?? strengthInMetadata(partOf(job, "metadata"));
  const given = { ...config, ...(isGiven(strength) ? { denoise_strength: strength } : {}) };
  if (!isExactCopy(job)) return { ...job, config: given };
  const missing = Object.entries(copyValues).filter(([name]) => nameGiven(given, name) === undefined);
  return { ...job, config: { ...given, ...Object.fromEntries(missing) } };
}

function strengthInMetadata({ denoise_strength: strength, reference_strength: kept }: JsonObject): unknown {
  if (isGiven(strength)) return strength;
  // 1 − 0.8 is a little less than 0.2, and would be a step less.
  return typeof kept === "number" ? Math.round((1 - kept) * 1e6) / 1e6 : undefined;
}

const begins = "give a picture to begin with as metadata.reference_image_url";
const masks = "give a mask as config.mask_image_url";
const notMeant = '(config.pipeline "txt2img" says that it is not meant)';

/** Refuses what would draw another picture than the one that was requested. */
export function checkReferences(job: unknown, ctx: z.core.$RefinementCtx): void {
  if (!isJsonObject(job)) return;
  const [config, metadata] = [partOf(job, "config"), partOf(job, "metadata")];
  const refuse = (path: [string, string], input: unknown, message: string) =>
    ctx.addIssue({ code: "custom", path, input, message });
  for (const key of resultFields["a picture to begin with"]) {
    if (isReference(config[key])) refuse(["config", key], config[key], `must be left out: ${begins}`);
  }
  for (const key of resultFields["a mask"].filter((name) => name !== "mask_image_url")) {
    if (isReference(config[key])) refuse(["config", key], config[key], `must be left out: ${masks}`);
  }
  checkControls(config, referenceUse(job), refuse);
  if (!usesReference(job)) checkWithout(config, metadata, refuse);
  else if (!isExactCopy(job)) {
    // Of a style, a layout or a character it says how much that counts: all of it is no slip.
    if (!isGiven(metadata.reference_type)) checkStrength(config, metadata, refuse);
  } else if (isReference(config.mask_image_url)) {
    refuse(["config", "mask_image_url"], config.mask_image_url, "must be left out: an exact copy draws nothing anew");
  }
}

type Refuse = (path: [string, string], input: unknown, message: string) => void;

function checkWithout(config: JsonObject, metadata: JsonObject, refuse: Refuse): void {
  const isText = config.pipeline === "txt2img";
  if (isReference(config.mask_image_url)) {
    const message = isText
      ? 'must be left out with config.pipeline "txt2img"'
      : "must be given together with metadata.reference_image_url: it says which parts of that are drawn anew";
    refuse(["config", "mask_image_url"], config.mask_image_url, message);
  }
  if (isText) return;
  if (config.pipeline === "img2img") {
    refuse(["metadata", "reference_image_url"], undefined, 'must be given, since config.pipeline is "img2img"');
  }
  const message = `must be given together with metadata.reference_image_url ${notMeant}`;
  if (metadata.exact_copy_mode === true) refuse(["metadata", "exact_copy_mode"], true, message);
  if (metadata.reference_mode === "copy") refuse(["metadata", "reference_mode"], "copy", message);
}

/** A strength of nothing is a slip: the job would cost its time and change nothing. */
function checkStrength(config: JsonObject, metadata: JsonObject, refuse: Refuse): void {
  const rule = "which leaves the reference as it is: metadata.exact_copy_mode draws a copy";
  if (isGiven(config.denoise_strength)) {
    if (looseNumber(config.denoise_strength) === 0)
      refuse(["config", "denoise_strength"], 0, `must be more than 0, ${rule}`);
  } else if (isGiven(metadata.denoise_strength)) {
    if (metadata.denoise_strength === 0) refuse(["metadata", "denoise_strength"], 0, `must be more than 0, ${rule}`);
  } else if (metadata.reference_strength === 1) {
    refuse(["metadata", "reference_strength"], 1, `must be less than 1, ${rule}`);
  }
}

/** Fields of pictures that play no part in this job, as `denoise_strength` and `metadata.<name>`. */
export function unusedReferenceFields(written: Readonly<JsonObject>): string[] {
  const job = canonicalJob(written);
  if (!isJsonObject(job)) return [];
  const ofConfig = partOf(written, "config");
  const metadata = partOf(job, "metadata");
  const ofControls = unusedControlFields(ofConfig, referenceUse(job));
  const given = Object.keys(referenceMetadata).filter((name) => isGiven(metadata[name]) && metadata[name] !== "");
  const inMetadata = (names: readonly string[]) => names.map((name) => `metadata.${name}`);
  if (!usesReference(job)) {
    // A control picture is brought to the size as a reference is, and one beside the prompt laid on a colour.
    const read = [
      ...(isReference(ofConfig.control_image_url) ? ["reference_fit"] : []),
      ...(isReference(ofConfig.ip_adapter_image_url) ? ["reference_background"] : []),
    ];
    const names = Object.keys(referenceParameters).filter((name) => !read.includes(name));
    const unread = names.map((name) => nameGiven(ofConfig, name)).filter((name) => name !== undefined);
    return [...unread, ...ofControls, ...inMetadata(given)];
  }
  const hasOwn = nameGiven(ofConfig, "denoise_strength") !== undefined;
  const isOverruled = (name: string) =>
    (name === "denoise_strength" && hasOwn) ||
    (name === "reference_strength" && (hasOwn || isGiven(metadata.denoise_strength))) ||
    (name === "reference_type" && isExactCopy(job));
  return [...ofControls, ...inMetadata(given.filter(isOverruled))];
}
