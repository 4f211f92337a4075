import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import sharp from "sharp";
import { afterAll, beforeAll, expect, it } from "vitest";
import type { FetchedMimeType } from "../limits.ts";
import { pictureHeader } from "./picture-header.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "ourvidz-headers-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

async function headerOf(bytes: Uint8Array, mimeType: FetchedMimeType) {
  const file = join(folder, "file");
  await writeFile(file, bytes);
  return pictureHeader(file, mimeType);
}

const create = { width: 37, height: 19, channels: 4, background: "#4070a080" } as const;
const picture = () => sharp({ create });
const exif = { IFD0: { ImageDescription: "a".repeat(60_000) } };

const pictures: readonly (readonly [string, FetchedMimeType, () => Promise<Buffer>])[] = [
  ["PNG", "image/png", () => picture().png().toBuffer()],
  ["interlaced PNG", "image/png", () => picture().png({ progressive: true }).toBuffer()],
  ["GIF", "image/gif", () => picture().gif().toBuffer()],
  ["JPEG", "image/jpeg", () => picture().jpeg().toBuffer()],
  ["progressive JPEG", "image/jpeg", () => picture().jpeg({ progressive: true, mozjpeg: true }).toBuffer()],
  ["JPEG with a long description", "image/jpeg", () => picture().withExif(exif).jpeg().toBuffer()],
  ["WebP", "image/webp", () => picture().flatten().webp().toBuffer()],
  ["lossless WebP", "image/webp", () => picture().webp({ lossless: true }).toBuffer()],
  ["WebP with transparency", "image/webp", () => picture().webp().toBuffer()],
];

it.each(pictures)("reads the size of a %s", async (_name, mimeType, make) => {
  expect(await headerOf(await make(), mimeType)).toEqual({ width: 37, height: 19 });
});

it.each(pictures)("finds no other size in a damaged %s", async (_name, mimeType, make) => {
  const bytes = await make();
  for (let length = 0; length < 40; length++) {
    const size = await headerOf(bytes.subarray(0, length), mimeType);
    if (size !== null) expect(size).toEqual({ width: 37, height: 19 });
  }
});

it("ends on a JPEG that goes round in circles", async () => {
  expect(await headerOf(Buffer.alloc(100_000, 0xff), "image/jpeg")).toBeNull();
  expect(await headerOf(Buffer.from([0xff, 0xd8, 0xff, 0xe0, 0, 0, 0, 0]), "image/jpeg")).toBeNull();
});

it("reads nothing of a video", async () => {
  expect(await headerOf(Buffer.alloc(10), "video/mp4")).toBeUndefined();
});
