import sharp, { type Sharp } from "sharp";
import { addPngMetadata } from "./png-chunks.ts";
import type { RgbImage } from "./rgb.ts";

const thumbnailEdge = 256;
const thumbnailQuality = 85;

/**
 * A little above the fastest: on generated pictures the levels beyond it take several times as long for a few percent.
 */
const pngCompressionLevel = 4;

/** Encodes as PNG (8-bit sRGB) with texts in its metadata. */
export async function encodePng(image: RgbImage, texts: Readonly<Record<string, string>>): Promise<Uint8Array> {
  const png = await open(image).png({ compressionLevel: pngCompressionLevel }).toBuffer();
  return addPngMetadata(png, texts);
}

/** A WebP whose longest edge is 256 pixels; smaller pictures keep their size. @param image pixels, or a picture's file */
export function encodeThumbnail(image: RgbImage | Uint8Array): Promise<Uint8Array> {
  return (image instanceof Uint8Array ? sharp(image) : open(image))
    .resize({ width: thumbnailEdge, height: thumbnailEdge, fit: "inside", withoutEnlargement: true })
    .webp({ quality: thumbnailQuality })
    .toBuffer();
}

/** Encodes as WebP of at most `limitBytes`, at the best of a few qualities that fits; undefined when none does. */
export async function encodeSmallWebp(image: RgbImage, limitBytes: number): Promise<Uint8Array | undefined> {
  for (const quality of [75, 45, 15]) {
    const bytes = await open(image).webp({ quality, effort: 2 }).toBuffer();
    if (bytes.length <= limitBytes) return bytes;
  }
  return undefined;
}

function open({ data, width, height }: RgbImage): Sharp {
  return sharp(data, { raw: { width, height, channels: 3 } });
}
