import type { InputMimeType } from "#contract/handler.ts";

/** How many bytes from the start `sniff` looks at. */
export const sniffedBytes = 64;

/** Brands of ISO base media files that are videos; the same container also holds HEIC and AVIF pictures. */
const videoBrands = new Set([
  "isom",
  "iso2",
  "iso3",
  "iso4",
  "iso5",
  "iso6",
  "mp41",
  "mp42",
  "mp4v",
  "avc1",
  "M4V ",
  "M4VP",
  "M4VH",
  "dash",
  "MSNV",
  "f4v ",
]);

/**
 * What a file is, by its first bytes; null when it is nothing that a handler takes. What a server or a name says about
 * it plays no part.
 */
export function sniff(head: Uint8Array): InputMimeType | null {
  const bytes = Buffer.from(head.buffer, head.byteOffset, Math.min(head.byteLength, sniffedBytes));
  const text = bytes.toString("latin1");
  if (text.startsWith("\x89PNG\r\n\x1a\n")) return "image/png";
  if (text.startsWith("\xff\xd8\xff")) return "image/jpeg";
  if (text.startsWith("RIFF") && text.slice(8, 12) === "WEBP") return "image/webp";
  if (text.startsWith("GIF87a") || text.startsWith("GIF89a")) return "image/gif";
  if (text.slice(4, 8) === "ftyp") return isoMedia(text.slice(8, 12));
  // EBML with the document type of WebM, not Matroska's.
  if (text.startsWith("\x1aE\xdf\xa3") && /B\x82.{1,8}webm/s.test(text)) return "video/webm";
  return null;
}

/** Whether it begins as a safetensors file does: the length of a JSON header, and the header's first bracket. */
export function isSafetensors(head: Uint8Array): boolean {
  if (head.byteLength < 10) return false;
  const length = new DataView(head.buffer, head.byteOffset, 8).getBigUint64(0, true);
  return length >= 2n && length <= 100_000_000n && head[8] === 0x7b;
}

function isoMedia(brand: string): InputMimeType | null {
  if (brand === "qt  ") return "video/quicktime";
  return videoBrands.has(brand) ? "video/mp4" : null;
}
