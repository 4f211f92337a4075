import type { PipelineHost } from "#pipelines/core/host.ts";
import {
  encodeImage,
  encodeThumbnail,
  type GenerationTexts,
  type PictureFormat,
  pictureFormats,
} from "#pipelines/images/encode.ts";
import type { RgbImage } from "#pipelines/images/rgb.ts";

/** A finished picture and what is recorded of it. */
export interface FinishedImage {
  readonly image: RgbImage;
  readonly seed: number;
  /** For the file's metadata. */
  readonly texts: GenerationTexts;
}

/** How a job wants its pictures stored. */
export interface PictureFile {
  readonly format?: PictureFormat | undefined;
  /** From 1 to 100, of formats that lose something. */
  readonly quality?: number | undefined;
}

const defaultQuality = 90;

/** Encodes all pictures at once (outside of JavaScript's thread) and hands them over in order, with WebP thumbnail. */
export async function saveImages(
  finished: readonly FinishedImage[],
  host: PipelineHost,
  { format = "png", quality = defaultQuality }: PictureFile = {},
): Promise<void> {
  const encoded = await Promise.all(
    finished.map(async ({ image, texts }) =>
      Promise.all([encodeImage(image, texts, format, quality), encodeThumbnail(image)]),
    ),
  );
  for (const [index, { image, seed }] of finished.entries()) {
    const [file, thumbnail] = encoded[index] ?? [];
    if (file === undefined || thumbnail === undefined) throw new RangeError(`image ${index} is missing`);
    await host.asset(file, {
      type: "image",
      ...pictureFormats[format],
      thumbnail: { extension: "webp", mimeType: "image/webp", bytes: thumbnail },
      metadata: { seed, width: image.width, height: image.height },
    });
  }
}
