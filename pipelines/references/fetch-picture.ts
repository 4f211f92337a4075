import type { ReferenceHost } from "#pipelines/core/host.ts";
import { fitPicture, type PictureFit } from "#pipelines/images/fit-picture.ts";
import { type ReadPictureOptions, readPicture } from "#pipelines/images/read-picture.ts";
import type { RgbImage } from "#pipelines/images/rgb.ts";

/** How a picture is brought to a job's size. */
export interface Fitting {
  readonly width: number;
  readonly height: number;
  /** `cover` when absent. */
  readonly reference_fit?: PictureFit | undefined;
}

/**
 * Fetches and reads a picture that a job names, as it is.
 * @throws PipelineError INPUT_INVALID or INPUT_TOO_LARGE; what the host's `input` throws
 */
export async function fetchPicture(
  url: string,
  host: Pick<ReferenceHost, "input">,
  options?: ReadPictureOptions,
): Promise<RgbImage> {
  return readPicture((await host.input(url)).file, options);
}

/** The same in a size. @throws as {@link fetchPicture} */
export async function fetchFitted(
  url: string,
  { width, height, reference_fit: fit = "cover" }: Fitting,
  host: Pick<ReferenceHost, "input">,
  options?: ReadPictureOptions,
): Promise<RgbImage> {
  return fitPicture(await fetchPicture(url, host, options), width, height, fit);
}
