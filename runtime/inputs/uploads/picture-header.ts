import { type FileHandle, open } from "node:fs/promises";
import type { FetchedMimeType } from "../limits.ts";

/*
 * Width and height by a picture's header, for the door of uploads: a small file may claim, and unpack to, any size. Read here and
 * not by a library for pictures, because this is the process with the app's keys, and what is read may be an attack. What the
 * executor's library makes of the file counts for the job.
 */

export interface PictureSize {
  readonly width: number;
  readonly height: number;
}

type Reader = (handle: FileHandle) => Promise<PictureSize | null>;

const readers: Readonly<Partial<Record<FetchedMimeType, Reader>>> = {
  "image/png": readPng,
  "image/gif": readGif,
  "image/webp": readWebp,
  "image/jpeg": readJpeg,
};

/** Null for a header that is damaged; undefined for what is no picture. */
export async function pictureHeader(file: string, mimeType: FetchedMimeType): Promise<PictureSize | null | undefined> {
  const read = readers[mimeType];
  if (read === undefined) return undefined;
  const handle = await open(file);
  try {
    const size = await read(handle);
    return size === null || size.width === 0 || size.height === 0 ? null : size;
  } finally {
    await handle.close();
  }
}

/** So many bytes from there on; null where the file ends before. */
async function bytesAt(handle: FileHandle, position: number, length: number): Promise<Buffer | null> {
  const { bytesRead, buffer } = await handle.read(Buffer.alloc(length), 0, length, position);
  return bytesRead < length ? null : buffer;
}

/** PNG specification, 11.2.1: IHDR comes first. */
async function readPng(handle: FileHandle): Promise<PictureSize | null> {
  const head = await bytesAt(handle, 12, 12);
  if (head?.toString("latin1", 0, 4) !== "IHDR") return null;
  return { width: head.readUInt32BE(4), height: head.readUInt32BE(8) };
}

/** GIF89a specification, 18: the logical screen. */
async function readGif(handle: FileHandle): Promise<PictureSize | null> {
  const head = await bytesAt(handle, 6, 4);
  return head === null ? null : { width: head.readUInt16LE(0), height: head.readUInt16LE(2) };
}

/** RFC 9649: lossy (2.5), lossless (2.6) and extended (2.7) files. */
async function readWebp(handle: FileHandle): Promise<PictureSize | null> {
  const head = await bytesAt(handle, 12, 18);
  if (head === null) return null;
  switch (head.toString("latin1", 0, 4)) {
    case "VP8 ":
      if (head.readUIntBE(11, 3) !== 0x9d012a) return null;
      return { width: head.readUInt16LE(14) & 0x3fff, height: head.readUInt16LE(16) & 0x3fff };
    case "VP8L": {
      const bits = head.readUInt32LE(9);
      return head[8] === 0x2f ? { width: (bits & 0x3fff) + 1, height: ((bits >>> 14) & 0x3fff) + 1 } : null;
    }
    case "VP8X":
      return { width: head.readUIntLE(12, 3) + 1, height: head.readUIntLE(15, 3) + 1 };
    default:
      return null;
  }
}

/** More than any file has before its picture begins. */
const maxSegments = 1000;
/** Markers of frames (ITU-T T.81, table B.1), without those of tables that lie among them. */
const isFrame = (marker: number) => marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker);

/** ITU-T T.81, B.2.2: the size stands in the frame's header, after segments of any length. */
async function readJpeg(handle: FileHandle): Promise<PictureSize | null> {
  for (let position = 2, count = 0; count < maxSegments; count++) {
    const head = await bytesAt(handle, position, 4);
    if (head === null || head[0] !== 0xff) return null;
    const marker = head.readUInt8(1);
    if (marker === 0xff) {
      // A marker may be preceded by any number of these.
      position++;
      continue;
    }
    if (isFrame(marker)) {
      const frame = await bytesAt(handle, position + 5, 4);
      return frame === null ? null : { width: frame.readUInt16BE(2), height: frame.readUInt16BE(0) };
    }
    const length = head.readUInt16BE(2);
    // The scan, or a length that leads nowhere: the picture has begun without a size.
    if (marker === 0xda || marker === 0xd9 || length < 2) return null;
    position += 2 + length;
  }
  return null;
}
