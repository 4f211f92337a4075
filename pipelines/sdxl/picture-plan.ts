import { basename } from "node:path";
import { unsupportedOption } from "#pipelines/core/errors.ts";
import { cannyEdges } from "#pipelines/images/canny.ts";
import type { RgbImage } from "#pipelines/images/rgb.ts";
import { noControlNet } from "./condition-parts.ts";
import type { ImageJob, ImageParameters } from "./image-job.ts";
import type { JobPictures, JobReference } from "./job-reference.ts";
import type { SdxlModelFolder } from "./model-folder.ts";
import { imageToImageStrength, type ReferenceWay, referenceWay } from "./reference-plan.ts";
import type { SdxlControl, SdxlImagePrompt, SdxlReference } from "./request.ts";

/** What the pipeline is given of a job's pictures. */
export interface PicturePlan {
  /** What was made of the reference; undefined without one. */
  readonly way: ReferenceWay | undefined;
  readonly reference: SdxlReference | undefined;
  readonly control: SdxlControl | undefined;
  readonly imagePrompt: SdxlImagePrompt | undefined;
}

/** What a ControlNet counts, and what a picture beside the prompt does, where nothing says it: as in diffusers, and its examples. */
const defaultControlScale = 1;
const defaultImageScale = 0.6;

/** Kinds of control pictures that are made of a reference here. */
const madeHere = ["canny", "depth"] as const;
type MadeHere = (typeof madeHere)[number];
const isMadeHere = (name: string): name is MadeHere => madeHere.some((one) => one === name);

type ModelParts = Pick<SdxlModelFolder, "path" | "controlNets" | "imageProcessor" | "depthProcessor">;

/** A loaded model, as far as it decides which way pictures go. */
export interface DrawingModel {
  readonly model: ModelParts;
  /** A control picture of the picture's depths. */
  estimateDepth(picture: RgbImage): Promise<RgbImage>;
}

/**
 * Which way a job's pictures go in this model: a reference for its style or character beside the prompt where the model has an
 * IP-Adapter, one for its composition through a ControlNet where the model has one that control pictures can be made for;
 * any other is begun with.
 * @throws PipelineError UNSUPPORTED_OPTION for a control picture that the model has no ControlNet for
 */
export async function planPictures(
  pipeline: DrawingModel,
  { config = {} }: ImageJob,
  parameters: ImageParameters,
  { reference, control, imagePrompt }: JobPictures,
): Promise<PicturePlan> {
  const { model } = pipeline;
  const ready = control && controlOf(model, config, parameters, control);
  const beside = imagePrompt && { picture: imagePrompt, scale: parameters.ip_adapter_scale ?? defaultImageScale };
  if (reference === undefined) return { way: undefined, reference: undefined, control: ready, imagePrompt: beside };
  const isLayout = reference.plan.type === "composition";
  const net = isLayout ? layoutNet(model, config.control_type) : undefined;
  const taken = referenceWay(reference.plan, { hasAdapter: model.imageProcessor !== undefined, net });
  const { way } = taken;
  const begun = beginWith(reference, way);
  switch (taken.way) {
    case "img2img":
      return { way, reference: begun, control: ready, imagePrompt: beside };
    case "ip_adapter": {
      const scale = parameters.ip_adapter_scale ?? keptShare(reference) ?? defaultImageScale;
      return { way, reference: begun, control: ready, imagePrompt: { picture: reference.picture, scale } };
    }
    case "controlnet": {
      const name = taken.net;
      const scale = parameters.controlnet_conditioning_scale ?? keptShare(reference) ?? defaultControlScale;
      const picture = name === "depth" ? await pipeline.estimateDepth(reference.image) : cannyEdges(reference.image);
      const made = { ...windowOf(config, parameters), name, scale, picture };
      return { way, reference: begun, control: made, imagePrompt: beside };
    }
  }
}

/** The picture to begin with: the reference where nothing else is made of it, and where only a part of it is drawn anew. */
function beginWith(reference: JobReference, way: ReferenceWay): SdxlReference | undefined {
  const { image, mask, plan } = reference;
  if (way !== "img2img" && mask === undefined) return undefined;
  // A strength that nobody chose never fails a model of few steps.
  const takesOneStep = plan.isCopy || plan.strength === undefined;
  return { image, mask, strength: imageToImageStrength(plan), takesOneStep };
}

/**
 * How much of a reference is kept: what the job's own strength says where it is not begun with. A model's default strength is
 * for pictures that are begun with, and says nothing of its other parts.
 */
function keptShare({ plan: { ownStrength }, mask }: JobReference): number | undefined {
  // 1 − 0.8 is a little less than 0.2.
  return ownStrength === undefined || mask !== undefined ? undefined : Math.round((1 - ownStrength) * 1e6) / 1e6;
}

/** The ControlNet for a reference's layout: the one that the job names, or the first that pictures can be made for. */
function layoutNet({ path, controlNets, depthProcessor }: ModelParts, named: string | undefined): MadeHere | undefined {
  const canMake = (name: MadeHere) => name !== "depth" || depthProcessor !== undefined;
  if (named === undefined) return madeHere.find((name) => controlNets.includes(name) && canMake(name));
  const ready = "give one ready-made as config.control_image_url, in place of reference_type composition";
  if (!isMadeHere(named)) {
    throw unsupportedOption(
      `control pictures of the type ${named} are not made of a reference, only ${madeHere.join(" and ")}: ${ready}`,
    );
  }
  if (!controlNets.includes(named)) throw noControlNet({ path, controlNets }, named);
  if (canMake(named)) return named;
  throw unsupportedOption(
    `the model ${basename(path)} has no depth_estimator/ to make a control picture of depths with: ${ready}`,
  );
}

function controlOf(
  { controlNets, path }: ModelParts,
  config: NonNullable<ImageJob["config"]>,
  parameters: ImageParameters,
  picture: RgbImage,
): SdxlControl {
  const [only, ...others] = controlNets;
  const name = config.control_type ?? (others.length === 0 ? only : undefined);
  if (only === undefined) {
    throw unsupportedOption(
      `the model ${basename(path)} has no ControlNet: export it again with --controlnet, or leave the control picture out`,
    );
  }
  if (name === undefined) {
    throw unsupportedOption(
      `the model ${basename(path)} has several ControlNets: say in config.control_type which the control picture is for (${controlNets.join(", ")})`,
    );
  }
  const scale = parameters.controlnet_conditioning_scale ?? defaultControlScale;
  return { ...windowOf(config, parameters), name, picture, scale };
}

function windowOf(
  { guess_mode: guessMode }: NonNullable<ImageJob["config"]>,
  { control_guidance_start: start = 0, control_guidance_end: end = 1 }: ImageParameters,
): Pick<SdxlControl, "start" | "end" | "guessMode"> {
  return { start, end, guessMode };
}

/** What is reported of it, in the result and in the pictures. */
export function reportPlan({ control, imagePrompt, reference }: PicturePlan): Record<string, unknown> {
  return {
    denoise_strength: reference?.strength,
    control_type: control?.name,
    controlnet_conditioning_scale: control?.scale,
    control_guidance_start: control?.start,
    control_guidance_end: control?.end,
    guess_mode: control?.guessMode,
    ip_adapter_scale: imagePrompt?.scale,
  };
}
