import sharp from "sharp";
import { describe, expect, it } from "vitest";
import { TorchGenerator } from "#pipelines/core/random/torch-generator.ts";
import { encodePng, encodeSmallWebp, encodeThumbnail } from "./encode.ts";
import type { RgbImage } from "./rgb.ts";

function noise(width: number, height: number): RgbImage {
  const values = new TorchGenerator(1).randn(width * height * 3);
  return { data: Uint8ClampedArray.from(values, (value) => 128 + 60 * value), width, height };
}

describe("encodePng", () => {
  it("keeps every pixel, in 8 bits and three channels", async () => {
    const image = noise(40, 24);
    const png = sharp(await encodePng(image, { parameters: "x" }));
    expect(await png.metadata()).toMatchObject({ width: 40, height: 24, channels: 3, depth: "uchar", space: "srgb" });
    expect([...(await png.raw().toBuffer())]).toEqual([...image.data]);
  });
});

describe("encodeThumbnail", () => {
  it.each([
    [512, 128, 256, 64],
    [128, 512, 64, 256],
    [64, 32, 64, 32],
  ])("fits %i×%i into %i×%i", async (width, height, thumbnailWidth, thumbnailHeight) => {
    const metadata = await sharp(await encodeThumbnail(noise(width, height))).metadata();
    expect(metadata).toMatchObject({ format: "webp", width: thumbnailWidth, height: thumbnailHeight });
  });
});

describe("encodeSmallWebp", () => {
  it("lowers the quality until the picture fits, and gives up when it cannot", async () => {
    const image = noise(256, 256);
    const [large, small] = [await encodeSmallWebp(image, 1e6), await encodeSmallWebp(image, 40_000)];
    expect(large?.length).toBeGreaterThan(40_000);
    expect(small?.length).toBeLessThanOrEqual(40_000);
    expect(await encodeSmallWebp(image, 100)).toBeUndefined();
  });
});
