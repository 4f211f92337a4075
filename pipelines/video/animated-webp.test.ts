import sharp from "sharp";
import { expect, it } from "vitest";
import type { RgbImage } from "#pipelines/images/rgb.ts";
import { animatedWebp, smallAnimatedWebp } from "./animated-webp.ts";
import { psnr, shapesFrame } from "./testing/clips.ts";

const [width, height] = [60, 40];
const frames: RgbImage[] = Array.from({ length: 7 }, (_, index) => ({
  data: new Uint8ClampedArray(shapesFrame(2 * index, width, height)),
  width,
  height,
}));

it("plays every frame for as long as the rate has it, in a loop", async () => {
  const webp = sharp(await animatedWebp(frames, 16, 90), { animated: true });
  const { pages, delay = [], loop, pageHeight } = await webp.metadata();
  expect({ pages, loop, pageHeight }).toEqual({ pages: 7, loop: 0, pageHeight: height });
  expect(delay.reduce((sum, each) => sum + each, 0)).toBe(Math.round(7000 / 16));
  const pixels = await webp.removeAlpha().raw().toBuffer();
  const size = width * height * 3;
  const decoded = frames.map((_, index) => pixels.subarray(index * size, (index + 1) * size));
  const given = frames.map(({ data }) => new Uint8Array(data));
  expect(psnr(given, decoded)).toBeGreaterThan(33);
});

it("lowers the quality until it fits, and gives up when it cannot", async () => {
  const large = await smallAnimatedWebp(frames, 16, 1e6);
  const limit = (large?.length ?? 0) - 200;
  expect((await smallAnimatedWebp(frames, 16, limit))?.length).toBeLessThanOrEqual(limit);
  expect(await smallAnimatedWebp(frames, 16, 100)).toBeUndefined();
});

it("refuses frames of different sizes, and none", () => {
  const [first] = frames;
  if (first === undefined) throw new Error("no frames");
  expect(() => animatedWebp([first, { ...first, width: 40, height: 60 }], 16)).toThrow("60×40");
  expect(() => animatedWebp([], 16)).toThrow("at least one frame");
});
