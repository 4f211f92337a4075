import sharp, { type Metadata } from "sharp";
import { inputInvalid, inputTooLarge, inputTooNarrow } from "#pipelines/core/errors.ts";
import type { RgbImage } from "./rgb.ts";

/** More than nearly any camera's picture; 8-bit RGB of it takes 150 MB. */
export const maxPicturePixels = 50_000_000;

/** How many times the shorter side the longer one may be. Of a narrower picture no model could use anything. */
const maxSideRatio = 20;

/** What is decoded. libvips reads more, SVG and PDF among it, which are programs rather than pictures. */
const formats: readonly string[] = ["png", "jpeg", "webp", "gif"];

/** Longer than any picture within the limit takes. */
const timeoutSeconds = 30;

export interface ReadPictureOptions {
  /** What transparent parts are laid on, as CSS names colours: `#80c0ff`; white when absent. */
  readonly background?: string | undefined;
  /** What it is in the job, for messages; `reference picture` when absent. */
  readonly what?: string | undefined;
}

/**
 * Reads a picture as 8-bit sRGB: turned as its EXIF orientation says, brought to sRGB by its ICC profile (CMYK, grey, palettes
 * and 16 bits included), transparent parts laid on a colour, of an animated picture the first frame.
 * @param file a path, or the bytes
 * @throws PipelineError INPUT_INVALID for what is no such picture or is damaged, INPUT_TOO_LARGE
 */
export async function readPicture(
  file: string | Uint8Array,
  { background = "white", what = "reference picture" }: ReadPictureOptions = {},
): Promise<RgbImage> {
  checkMetadata(what, await metadataOf(what, file));
  const pixels = await sharp(file, { limitInputPixels: maxPicturePixels, failOn: "error" })
    .autoOrient()
    .flatten({ background })
    .toColourspace("srgb")
    .timeout({ seconds: timeoutSeconds })
    .raw({ depth: "uchar" })
    .toBuffer({ resolveWithObject: true })
    .catch((cause: unknown) => {
      throw inputInvalid(what, "its pixels cannot be read: the file is damaged", cause);
    });
  const { width, height, channels } = pixels.info;
  if (channels !== 3) throw new RangeError(`sRGB has 3 channels, not ${channels}`);
  return { data: new Uint8ClampedArray(pixels.data), width, height };
}

function metadataOf(what: string, file: string | Uint8Array): Promise<Metadata> {
  return sharp(file, { limitInputPixels: false })
    .metadata()
    .catch((cause: unknown) => {
      throw inputInvalid(what, "it is no picture, or its header is damaged", cause);
    });
}

function checkMetadata(what: string, { format, width, height }: Metadata): void {
  if (!formats.includes(format)) throw inputInvalid(what, `it is of format ${format}`);
  if (Math.max(width, height) > maxSideRatio * Math.min(width, height))
    throw inputTooNarrow(what, width, height, maxSideRatio);
  if (width * height > maxPicturePixels) throw inputTooLarge(what, width, height, maxPicturePixels);
}
