import sharp, { type Sharp } from "sharp";
import { addJpegMetadata, addWebpMetadata } from "./exif-container.ts";
import { addPngMetadata } from "./png-chunks.ts";
import type { RgbImage } from "./rgb.ts";

const thumbnailEdge = 256;
const thumbnailQuality = 85;

/**
 * A little above the fastest: on generated pictures the levels beyond it take several times as long for a few percent.
 */
const pngCompressionLevel = 4;

/** How finished pictures are stored, by name. */
export const pictureFormats = {
  png: { extension: "png", mimeType: "image/png" },
  jpeg: { extension: "jpg", mimeType: "image/jpeg" },
  webp: { extension: "webp", mimeType: "image/webp" },
} as const;

export type PictureFormat = keyof typeof pictureFormats;

/** From which quality on a JPEG keeps the colour of every pixel: below it, what it loses is not seen. */
const fullColorQuality = 90;

/** Texts about a picture: what other tools read, and this project's own. */
export interface GenerationTexts {
  readonly parameters: string;
  readonly ourvidz: string;
}

/**
 * Encodes in 8-bit sRGB with texts in its metadata: in PNG as chunks of text, in JPEG and WebP as Exif.
 * @param quality from 1 to 100; PNG keeps every pixel and has none
 */
export async function encodeImage(
  image: RgbImage,
  texts: GenerationTexts,
  format: PictureFormat,
  quality: number,
): Promise<Uint8Array> {
  const exif = { comment: texts.parameters, note: texts.ourvidz };
  switch (format) {
    case "png":
      return addPngMetadata(await open(image).png({ compressionLevel: pngCompressionLevel }).toBuffer(), { ...texts });
    case "jpeg": {
      const chromaSubsampling = quality < fullColorQuality ? "4:2:0" : "4:4:4";
      return addJpegMetadata(await open(image).jpeg({ quality, chromaSubsampling }).toBuffer(), exif);
    }
    case "webp":
      return addWebpMetadata(await open(image).webp({ quality }).toBuffer(), image, exif);
  }
}

/** A WebP whose longest edge is 256 pixels; smaller pictures keep their size. @param image pixels, or a picture's file */
export function encodeThumbnail(image: RgbImage | Uint8Array): Promise<Uint8Array> {
  return (image instanceof Uint8Array ? sharp(image) : open(image))
    .resize({ width: thumbnailEdge, height: thumbnailEdge, fit: "inside", withoutEnlargement: true })
    .webp({ quality: thumbnailQuality })
    .toBuffer();
}

/**
 * Encodes as WebP of at most `limitBytes`, at the best of a few qualities that fits; undefined when none does.
 * @param maxEdge larger pictures are made smaller, to this longest edge in pixels
 */
export async function encodeSmallWebp(
  image: RgbImage,
  limitBytes: number,
  maxEdge = Math.max(image.width, image.height),
): Promise<Uint8Array | undefined> {
  for (const quality of [75, 45, 15]) {
    const bytes = await open(image)
      .resize({ width: maxEdge, height: maxEdge, fit: "inside", withoutEnlargement: true })
      .webp({ quality, effort: 2 })
      .toBuffer();
    if (bytes.length <= limitBytes) return bytes;
  }
  return undefined;
}

function open({ data, width, height }: RgbImage): Sharp {
  return sharp(data, { raw: { width, height, channels: 3 } });
}
