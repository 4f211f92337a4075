import { z } from "zod";
import { fromDecimal } from "./decimal.ts";
import { optionalPictureOrVideo, optionalReferences, optionalVideo } from "./fields.ts";
import { optional } from "./job.ts";
import { isGiven, isJsonObject, isReference, type JsonObject } from "./synonyms.ts";
import { referenceMode, unusedWanFields, wanReferences } from "./wan-references.ts";

/**
 * What jobs of VACE models say beside the pictures that all WAN jobs may have: a control video and its mask, pictures of what
 * shall be seen, and how much all of it counts.
 */

const scaleRule =
  "must be a number from 0 to 2, or a list of such numbers, one for each layer that the control reaches";
const scale = z.number(scaleRule).min(0, scaleRule).max(2, scaleRule);
const maxLayers = 100;

/** Among the parameters: a model may have its own. */
export const controlParameters = {
  /** How much control video and pictures count, in all layers that they reach or in each; 1 when left out. */
  control_scale: optional(
    z.preprocess(
      (value) => (Array.isArray(value) ? value.map(fromDecimal) : fromDecimal(value)),
      z.union([scale, z.array(scale, scaleRule).min(1, scaleRule).max(maxLayers, scaleRule)], scaleRule),
    ),
  ),
};

const maxImageRefs = 8;

export const controlConfig = {
  /** A video that the clip follows, in its motion, its lines or its depths, or that is filled in where the mask is white. */
  video_guide: optionalVideo,
  /** What of the video is drawn anew: a video as long as it, or a picture for all frames. All is, when left out. */
  video_mask: optionalPictureOrVideo,
  /** What shall be seen in the clip. */
  image_refs: optionalReferences(maxImageRefs),
};

/** Fields of pictures and of the control that play no part in this job, under the names that it gives them. */
export function unusedVaceFields(written: Readonly<JsonObject>): string[] {
  const config = isJsonObject(written.config) ? written.config : {};
  const [hasGuide, hasPictures] = [isReference(config.video_guide), hasReferences(config.image_refs)];
  const read = [...(hasGuide ? ["reference_fit"] : []), ...(hasPictures ? ["reference_background"] : [])];
  const unread = unusedWanFields(written).filter((name) => !read.includes(name));
  const hasControl = hasGuide || hasPictures || referenceMode(written) !== "none";
  return hasControl || !isGiven(config.control_scale) ? unread : [...unread, "control_scale"];
}

function hasReferences(value: unknown): boolean {
  return Array.isArray(value) ? value.some(isReference) : isReference(value);
}

/** Refuses what would be another clip than the one that was requested. */
export function checkControl(job: unknown, ctx: z.core.$RefinementCtx): void {
  if (!isJsonObject(job)) return;
  const config = isJsonObject(job.config) ? job.config : {};
  const refuse = (path: readonly string[], input: unknown, message: string) =>
    ctx.addIssue({ code: "custom", path: [...path], input, message });
  if (!isReference(config.video_guide)) {
    if (isReference(config.video_mask)) {
      refuse(
        ["config", "video_mask"],
        config.video_mask,
        "must be left out without config.video_guide, which it is a mask of",
      );
    }
    return;
  }
  const { start, end } = wanReferences(job);
  for (const reference of [start, end]) {
    if (reference === undefined) continue;
    refuse(
      reference.path,
      reference.url,
      "must be left out beside config.video_guide, which has the first and the last frame",
    );
  }
}
