import type { ReferenceHost } from "#pipelines/core/host.ts";
import { fitPicture, type PictureFit } from "#pipelines/images/fit-picture.ts";
import { type Mask, maskOf } from "#pipelines/images/mask.ts";
import { readPicture } from "#pipelines/images/read-picture.ts";
import type { RgbImage } from "#pipelines/images/rgb.ts";
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
  { url, maskUrl, fit }: ReferencePlan,
  { width, height }: Size,
  host: Pick<ReferenceHost, "input">,
): Promise<FetchedReference> {
  const picture = await fetchPicture(url, host);
  const image = await fitPicture(picture, width, height, fit);
  if (maskUrl === undefined) return { picture, image, mask: undefined };
  // What is transparent in a mask is not to be drawn.
  const mask = await readPicture((await host.input(maskUrl)).file, { background: "black", what: "mask" });
  return { picture, image, mask: maskOf(await fitPicture(mask, width, height, fit)) };
}

/** @param what it is in the job, for messages. @throws as {@link fetchReference} */
export async function fetchPicture(url: string, host: Pick<ReferenceHost, "input">, what?: string): Promise<RgbImage> {
  return readPicture((await host.input(url)).file, { what });
}

/** A control picture is brought to the size as the reference is. @throws as {@link fetchReference} */
export async function fetchFitted(
  url: string,
  { width, height, reference_fit: fit = "cover" }: Size & { readonly reference_fit?: PictureFit | undefined },
  host: Pick<ReferenceHost, "input">,
): Promise<RgbImage> {
  // Transparent parts of lines on nothing are the nothing.
  const picture = await readPicture((await host.input(url)).file, { background: "black", what: "control picture" });
  return fitPicture(picture, width, height, fit);
}
