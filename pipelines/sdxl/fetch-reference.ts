import type { ReferenceHost } from "#pipelines/core/host.ts";
import { fitPicture } from "#pipelines/images/fit-picture.ts";
import { type Mask, maskOf } from "#pipelines/images/mask.ts";
import type { RgbImage } from "#pipelines/images/rgb.ts";
import { fetchPicture } from "#pipelines/references/fetch-picture.ts";
import type { ReferencePlan } from "./reference-plan.ts";

/** A reference that a job names, as it is and in the job's size. */
export interface FetchedReference {
  readonly picture: RgbImage;
  readonly image: RgbImage;
  readonly mask: Mask | undefined;
}

interface Size {
  readonly width: number;
  readonly height: number;
}

/**
 * Fetches and reads the reference of a job and its mask, which is brought to the size in the same way.
 * @throws PipelineError INPUT_INVALID or INPUT_TOO_LARGE; what the host's `input` throws
 */
export async function fetchReference(
  { url, maskUrl, fit, background }: ReferencePlan,
  { width, height }: Size,
  host: Pick<ReferenceHost, "input">,
): Promise<FetchedReference> {
  const picture = await fetchPicture(url, host, { background });
  const image = await fitPicture(picture, width, height, fit);
  if (maskUrl === undefined) return { picture, image, mask: undefined };
  // What is transparent in a mask is not to be drawn.
  const mask = await fetchPicture(maskUrl, host, { background: "black", what: "mask" });
  return { picture, image, mask: maskOf(await fitPicture(mask, width, height, fit)) };
}
