import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { crc32 } from "node:zlib";
import sharp from "sharp";
import { afterEach, beforeEach, expect, it } from "vitest";
import { maxPixels, pictureSize } from "./picture.ts";
import { makePicture } from "./testing/harness.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "ourvidz-picture-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

async function sizeOf(bytes: Uint8Array) {
  const file = join(folder, "picture");
  await writeFile(file, bytes);
  return pictureSize(file);
}

/** The picture with another size in its header: small on disk, and as large as it says when it is unpacked. */
function claiming(png: Buffer, width: number, height: number): Buffer {
  const bomb = Buffer.from(png);
  bomb.writeUInt32BE(width, 16);
  bomb.writeUInt32BE(height, 20);
  bomb.writeUInt32BE(crc32(bomb.subarray(12, 29)), 29);
  return bomb;
}

it.each(["png", "jpeg", "webp", "gif"] as const)("reads the size of a %s", async (format) => {
  const picture = sharp({ create: { width: 30, height: 20, channels: 3, background: "teal" } });
  expect(await sizeOf(await picture.toFormat(format).toBuffer())).toEqual({ width: 30, height: 20 });
});

it("reads the size as stored: a handler reads the pixels so, too", async () => {
  const picture = sharp({ create: { width: 30, height: 20, channels: 3, background: "teal" } });
  expect(await sizeOf(await picture.jpeg().withMetadata({ orientation: 6 }).toBuffer())).toEqual({
    width: 30,
    height: 20,
  });
});

it("refuses an image bomb before anything is unpacked", async () => {
  const png = await makePicture("black");
  const side = Math.floor(Math.sqrt(maxPixels));
  expect(await sizeOf(claiming(png, side, side))).toEqual({ width: side, height: side });
  for (const [width, height] of [
    [side + 1, side + 1],
    [65_000, 65_000],
    [1, maxPixels + 1],
    [2 ** 31 - 1, 2 ** 31 - 1],
  ] as const) {
    await expect(sizeOf(claiming(png, width, height))).rejects.toMatchObject({
      name: "PermanentError",
      code: expect.stringMatching(/^INPUT_(TOO_LARGE|INVALID)$/),
    });
  }
});

it("refuses a picture of which no model could use anything", async () => {
  const png = await makePicture("black");
  expect(await sizeOf(claiming(png, 400, 20))).toEqual({ width: 400, height: 20 });
  for (const [width, height] of [
    [401, 20],
    [20, 3000],
  ] as const) {
    await expect(sizeOf(claiming(png, width, height))).rejects.toMatchObject({
      code: "INPUT_INVALID",
      message: `The picture has ${width} × ${height} pixels. Send one whose longer side is at most 20 times the other.`,
    });
  }
});

it("refuses what only begins like a picture", async () => {
  const png = await makePicture("black");
  for (const bytes of [
    png.subarray(0, 20),
    Buffer.from("GIF89a"),
    Buffer.from("\x89PNG\r\n\x1a\n".repeat(9), "latin1"),
  ]) {
    await expect(sizeOf(bytes)).rejects.toMatchObject({ name: "PermanentError", code: "INPUT_INVALID" });
  }
});
