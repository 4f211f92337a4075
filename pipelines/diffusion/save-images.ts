import type { PipelineHost } from "#pipelines/core/host.ts";
import { encodePng, encodeThumbnail } from "#pipelines/images/encode.ts";
import type { RgbImage } from "#pipelines/images/rgb.ts";

/** A finished picture and what is recorded of it. */
export interface FinishedImage {
  readonly image: RgbImage;
  readonly seed: number;
  /** By keyword, for the PNG's metadata. */
  readonly texts: Readonly<Record<string, string>>;
}

/** Encodes all pictures at once (outside of JavaScript's thread) and hands them over in order: PNG, with WebP thumbnail. */
export async function saveImages(finished: readonly FinishedImage[], host: PipelineHost): Promise<void> {
  const encoded = await Promise.all(
    finished.map(async ({ image, texts }) => Promise.all([encodePng(image, texts), encodeThumbnail(image)])),
  );
  for (const [index, { image, seed }] of finished.entries()) {
    const [png, thumbnail] = encoded[index] ?? [];
    if (png === undefined || thumbnail === undefined) throw new RangeError(`image ${index} is missing`);
    await host.asset(png, {
      type: "image",
      extension: "png",
      mimeType: "image/png",
      thumbnail: { extension: "webp", mimeType: "image/webp", bytes: thumbnail },
      metadata: { seed, width: image.width, height: image.height },
    });
  }
}
