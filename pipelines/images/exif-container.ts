import { exifOf, type PictureTexts } from "./exif.ts";

const startOfImage = Buffer.of(0xff, 0xd8);
const app0 = 0xff_e0;
const app1 = Buffer.of(0xff, 0xe1);
const exifMark = Buffer.from("Exif\0\0", "latin1");
/** A segment's length counts itself, in two bytes. */
const maxSegmentBytes = 0xff_ff - 2;

/**
 * Adds texts to an encoded JPEG, after its JFIF header: as many as one segment holds, see {@link exifOf}.
 * @throws RangeError when the bytes are no JPEG
 */
export function addJpegMetadata(jpeg: Uint8Array, texts: PictureTexts): Uint8Array {
  const bytes = Buffer.from(jpeg.buffer, jpeg.byteOffset, jpeg.byteLength);
  if (!bytes.subarray(0, 2).equals(startOfImage)) throw new RangeError("the bytes are no JPEG");
  const at = bytes.readUInt16BE(2) === app0 ? 4 + bytes.readUInt16BE(4) : 2;
  const content = Buffer.concat([exifMark, exifOf(texts, maxSegmentBytes - exifMark.length)]);
  const length = Buffer.alloc(2);
  length.writeUInt16BE(content.length + 2);
  return Buffer.concat([bytes.subarray(0, at), app1, length, content, bytes.subarray(at)]);
}

const riffHeaderBytes = 12;
/** Marks an extended WebP that has an `EXIF` chunk. */
const exifFlag = 0x08;

/**
 * Adds texts to an encoded WebP of one picture without transparency: its `VP8 ` chunk becomes the middle one of an extended
 * file (RFC 9649, section 2.7).
 * @throws RangeError when the bytes are no such WebP
 */
export function addWebpMetadata(
  webp: Uint8Array,
  { width, height }: { readonly width: number; readonly height: number },
  texts: PictureTexts,
): Uint8Array {
  const bytes = Buffer.from(webp.buffer, webp.byteOffset, webp.byteLength);
  if (bytes.toString("latin1", 8, 16) !== "WEBPVP8 ") throw new RangeError("the bytes are no plain WebP");
  const extended = Buffer.alloc(10);
  extended.writeUInt8(exifFlag, 0);
  extended.writeUIntLE(width - 1, 4, 3);
  extended.writeUIntLE(height - 1, 7, 3);
  const chunks = Buffer.concat([
    riffChunk("VP8X", extended),
    bytes.subarray(riffHeaderBytes),
    riffChunk("EXIF", exifOf(texts)),
  ]);
  return riffChunk("RIFF", Buffer.concat([Buffer.from("WEBP", "latin1"), chunks]));
}

/** Name, length, content, and a byte that makes it even. */
function riffChunk(name: string, content: Buffer): Buffer {
  const head = Buffer.alloc(8);
  head.write(name, "latin1");
  head.writeUInt32LE(content.length, 4);
  return Buffer.concat([head, content, Buffer.alloc(content.length % 2)]);
}
