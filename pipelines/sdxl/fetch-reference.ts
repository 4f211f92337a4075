import type { ReferenceHost } from "#pipelines/core/host.ts";
import { fitPicture } from "#pipelines/images/fit-picture.ts";
import { type Mask, maskOf } from "#pipelines/images/mask.ts";
import { readPicture } from "#pipelines/images/read-picture.ts";
import type { RgbImage } from "#pipelines/images/rgb.ts";
import type { ReferencePlan } from "./reference-plan.ts";

/** The pictures that a job names, in its size. */
export interface FetchedReference {
  readonly image: RgbImage;
  readonly mask: Mask | undefined;
}

/**
 * Fetches and reads the reference of a job and its mask, which is brought to the size in the same way.
 * @throws PipelineError INPUT_INVALID or INPUT_TOO_LARGE; what the host's `input` throws
 */
export async function fetchReference(
  { url, maskUrl, fit }: ReferencePlan,
  { width, height }: { readonly width: number; readonly height: number },
  host: ReferenceHost,
): Promise<FetchedReference> {
  const picture = await readPicture((await host.input(url)).file);
  const image = await fitPicture(picture, width, height, fit);
  if (maskUrl === undefined) return { image, mask: undefined };
  // What is transparent in a mask is not to be drawn.
  const mask = await readPicture((await host.input(maskUrl)).file, { background: "black" });
  return { image, mask: maskOf(await fitPicture(mask, width, height, fit)) };
}
