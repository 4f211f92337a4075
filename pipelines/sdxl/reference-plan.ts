import type { PictureFit } from "#pipelines/images/fit-picture.ts";
import type { ImageJob, ImageParameters, ReferenceType } from "./image-job.ts";

/** What a job wants of its reference, before the reference is fetched. */
export interface ReferencePlan {
  readonly url: string;
  readonly maskUrl: string | undefined;
  readonly type: ReferenceType | undefined;
  readonly isCopy: boolean;
  /** As the job or its model gives it. */
  readonly strength: number | undefined;
  /** The same where the job gives it; undefined where its model does, or nobody. */
  readonly ownStrength: number | undefined;
  readonly fit: PictureFit;
}

/** Undefined for a job that is drawn from its prompt alone. */
export function referencePlanOf(
  { config = {}, metadata = {} }: ImageJob,
  { denoise_strength: strength, reference_fit: fit = "cover" }: ImageParameters,
): ReferencePlan | undefined {
  const { reference_image_url: url, exact_copy_mode, reference_mode, reference_type: type } = metadata;
  if (url === undefined || config.pipeline === "txt2img") return undefined;
  const isCopy = exact_copy_mode === true || reference_mode === "copy";
  const ownStrength = config.denoise_strength == null ? undefined : strength;
  const common = { url, maskUrl: config.mask_image_url, isCopy, strength, ownStrength, fit };
  return { ...common, type: isCopy ? undefined : type };
}

/** What is made of a reference: it is begun with, its lines or depths are kept to, or it stands beside the prompt. */
export type ReferenceWay = "img2img" | "controlnet" | "ip_adapter";

/** A way, with the ControlNet that it goes through. */
type WayWithNet<Net> =
  | { readonly way: Exclude<ReferenceWay, "controlnet"> }
  | { readonly way: "controlnet"; readonly net: Net };

/**
 * Which way a reference goes by the parts of the model that draws.
 * @param parts an IP-Adapter, and a ControlNet that control pictures can be made for
 */
export function referenceWay<Net>(
  { type }: Pick<ReferencePlan, "type">,
  { hasAdapter, net }: { readonly hasAdapter: boolean; readonly net: Net | undefined },
): WayWithNet<Net> {
  switch (type) {
    case "style":
    case "character":
      return { way: hasAdapter ? "ip_adapter" : "img2img" };
    case "composition":
      return net === undefined ? { way: "img2img" } : { way: "controlnet", net };
    default:
      return { way: "img2img" };
  }
}

/** How strongly a reference is changed where the job says nothing of it. */
const defaultStrength = 0.2;
/** From here on a reference's layout is free, and its colours still show. */
const minStyleStrength = 0.6;
/** Up to here a reference's layout stays. */
const maxCompositionStrength = 0.5;

/**
 * How strongly image to image changes a reference of this kind. Where a model has no adapter for it, `style` leaves little of
 * the layout, and `composition` much.
 */
export function imageToImageStrength({ type, strength }: Pick<ReferencePlan, "type" | "strength">): number {
  switch (type) {
    case "style":
      return Math.max(strength ?? minStyleStrength, minStyleStrength);
    case "composition":
      return Math.min(strength ?? maxCompositionStrength, maxCompositionStrength);
    default:
      return strength ?? defaultStrength;
  }
}
