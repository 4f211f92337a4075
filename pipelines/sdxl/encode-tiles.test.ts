import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { Component } from "#pipelines/core/onnx.ts";
import { type Tensor, tensor } from "#pipelines/core/tensor.ts";
import { encodeInTiles } from "#pipelines/diffusion/encode-tiles.ts";
import { encodePicture } from "#pipelines/diffusion/latent-distribution.ts";
import { toPixelValues } from "#pipelines/images/rgb.ts";
import { maxDifference } from "#pipelines/testing/compare.ts";
import { readSafetensors } from "#pipelines/testing/safetensors.ts";
import { tinySdxl } from "#pipelines/testing/tiny-sdxl.ts";

const expected = readSafetensors(new URL("fixtures/encode/expected.safetensors", import.meta.url));
const options = { scale: 8, tilePixels: 64 };

let encoder: Component;
beforeAll(async () => {
  encoder = await Component.load(join(tinySdxl, "vae_encoder/model.onnx"), { executionProvider: "cpu" });
});
afterAll(() => encoder.dispose());

function pictureOf(size: string): Tensor {
  const { data = [], dims = [] } = expected.get(`${size}/picture`) ?? {};
  const [height = 0, width = 0] = dims;
  return toPixelValues({ data: Uint8ClampedArray.from(data), width, height });
}

it.each(["112x80", "72x104"])("encodes %s in tiles as diffusers does", async (size) => {
  const picture = pictureOf(size);
  const { mean, std = new Float32Array(), shape } = await encodePicture(encoder, picture, { ...options, channels: 4 });
  expect(shape).toEqual([4, ...picture.dims.slice(2).map((pixels) => pixels / 8)]);
  const { data: moments = [] } = expected.get(`${size}/moments`) ?? {};
  const half = moments.length / 2;
  expect(half).toBe(mean.length);
  expect(maxDifference(mean, moments.slice(0, half))).toBeLessThan(1e-5);
  const deviations = Float32Array.from(moments.slice(half), (value) => Math.exp(0.5 * value));
  expect(maxDifference(std, deviations)).toBeLessThan(1e-5);
});

it("never gives the encoder more than a tile, and stops between two", async () => {
  const sizes: (readonly number[])[] = [];
  const controller = new AbortController();
  const running = encodeInTiles(pictureOf("112x80"), { ...options, signal: controller.signal }, async (tile) => {
    sizes.push(tile.dims);
    if (sizes.length === 3) controller.abort(new Error("enough"));
    const [, , height = 0, width = 0] = tile.dims;
    return tensor(new Float32Array((8 * height * width) / 64), [1, 8, height / 8, width / 8]);
  });
  await expect(running).rejects.toThrow("enough");
  expect(sizes).toEqual([
    [1, 3, 64, 64],
    [1, 3, 64, 64],
    [1, 3, 64, 16],
  ]);
});

it("encodes a picture of up to a tile's pixels in one piece", async () => {
  const picture = pictureOf("72x104");
  const whole = await encodePicture(encoder, picture, { ...options, channels: 4, tilePixels: 80 });
  const { mean } = await encodePicture(encoder, picture, { ...options, channels: 4 });
  expect(maxDifference(whole.mean, mean)).toBeGreaterThan(1e-3);
});
