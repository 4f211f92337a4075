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
  /** The field that the job's own strength came from. */
  readonly strengthField: string;
  readonly fit: PictureFit;
  /** What its transparent parts are laid on; white when undefined. */
  readonly background: string | undefined;
}

/** Undefined for a job that is drawn from its prompt alone. */
export function referencePlanOf(
  { config = {}, metadata = {} }: ImageJob,
  { denoise_strength: strength, reference_fit: fit = "cover", reference_background: background }: ImageParameters,
): ReferencePlan | undefined {
  const { reference_image_url: url, exact_copy_mode, reference_mode, reference_type: type } = metadata;
  if (url === undefined || config.pipeline === "txt2img") return undefined;
  const isCopy = exact_copy_mode === true || reference_mode === "copy";
  const ownStrength = config.denoise_strength == null ? undefined : strength;
  const strengths = { strength, ownStrength, strengthField: strengthFieldOf(metadata, ownStrength) };
  return {
    url,
    maskUrl: config.mask_image_url,
    type: isCopy ? undefined : type,
    isCopy,
    ...strengths,
    fit,
    background,
  };
}

/** Of two fields with one value the one in `metadata`: `config` has a copy of that. */
function strengthFieldOf(
  { denoise_strength: changed, reference_strength: kept }: NonNullable<ImageJob["metadata"]>,
  ownStrength: number | undefined,
): string {
  if (ownStrength === undefined) return "denoise_strength";
  if (changed != null) return changed === ownStrength ? "metadata.denoise_strength" : "denoise_strength";
  const isKept = kept != null && Math.abs(1 - kept - ownStrength) < 1e-6;
  return isKept ? "metadata.reference_strength" : "denoise_strength";
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

/**
 * Whether a strength plays no part: a reference that is not begun with counts as a scale of its own says.
 * @param isBegun with a mask it is
 */
export function isStrengthOverruled(
  { ownStrength }: Pick<ReferencePlan, "ownStrength">,
  way: ReferenceWay | undefined,
  isBegun: boolean,
  { ip_adapter_scale, controlnet_conditioning_scale }: ImageParameters,
): boolean {
  if (ownStrength === undefined || isBegun) return false;
  return (
    (way === "ip_adapter" && ip_adapter_scale !== undefined) ||
    (way === "controlnet" && controlnet_conditioning_scale !== undefined)
  );
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
