import { crc32 } from "node:zlib";

const signatureBytes = 8;
/** IHDR is always the first chunk and always 25 bytes long. */
const headerEnd = signatureBytes + 25;

/**
 * Adds metadata to an encoded PNG: the sRGB mark and one text chunk per entry, right after the header. A text becomes
 * `tEXt` when Latin-1 holds it (readable by every tool), else `iTXt` in UTF-8 (PNG specification, third edition,
 * sections 11.3.2.5, 11.3.3.2 and 11.3.3.4).
 * @param texts keyword (1 to 79 Latin-1 letters) to text; zero bytes, which end a field, are dropped
 * @throws RangeError when the bytes are no PNG
 */
export function addPngMetadata(png: Uint8Array, texts: Readonly<Record<string, string>>): Uint8Array {
  if (Buffer.from(png.buffer, png.byteOffset, png.byteLength).toString("latin1", 12, 16) !== "IHDR") {
    throw new RangeError("the bytes are no PNG: the first chunk is not IHDR");
  }
  const perceptualIntent = Buffer.of(0);
  return Buffer.concat([
    png.subarray(0, headerEnd),
    pngChunk("sRGB", perceptualIntent),
    ...Object.entries(texts).map(([keyword, text]) => textChunk(keyword, text.replaceAll("\0", ""))),
    png.subarray(headerEnd),
  ]);
}

function textChunk(keyword: string, text: string): Buffer {
  const name = Buffer.from(keyword, "latin1");
  const isLatin1 = !/[^\n\x20-\x7e\xa0-\xff]/.test(text);
  if (isLatin1) return pngChunk("tEXt", Buffer.concat([name, Buffer.of(0), Buffer.from(text, "latin1")]));
  const uncompressedWithoutLanguage = Buffer.of(0, 0, 0, 0, 0);
  return pngChunk("iTXt", Buffer.concat([name, uncompressedWithoutLanguage, Buffer.from(text, "utf8")]));
}

/** Length, type, data, and the checksum over type and data. */
function pngChunk(type: string, data: Buffer): Buffer {
  const chunk = Buffer.alloc(data.length + 12);
  chunk.writeUInt32BE(data.length, 0);
  chunk.write(type, 4, "latin1");
  data.copy(chunk, 8);
  chunk.writeUInt32BE(crc32(chunk.subarray(4, 8 + data.length)), 8 + data.length);
  return chunk;
}
