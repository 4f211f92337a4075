import { cpSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import sharp from "sharp";
import { afterAll, beforeAll, expect, it } from "vitest";
import { Component } from "#pipelines/core/onnx.ts";
import { type Tensor, tensor } from "#pipelines/core/tensor.ts";
import { encodeSmallWebp } from "#pipelines/images/encode.ts";
import { toRgbImage } from "#pipelines/images/rgb.ts";
import { putNan } from "#pipelines/testing/break-weights.ts";
import { maxDifference } from "#pipelines/testing/compare.ts";
import { readSafetensors } from "#pipelines/testing/safetensors.ts";
import { copyTinySdxl, patchJson } from "#pipelines/testing/tiny-sdxl.ts";
import { readModelFolder } from "./model-folder.ts";
import { SdxlPipeline } from "./pipeline.ts";
import { previewEncoder } from "./previews.ts";

const fixtures = new URL("fixtures/tiny-decoder/", import.meta.url);

let folder: string;
beforeAll(() => {
  folder = copyTinySdxl();
  cpSync(fileURLToPath(fixtures), folder, { recursive: true });
});
afterAll(() => rmSync(folder, { recursive: true }));

const decoderFile = () => join(folder, "vae_decoder_tiny/model.onnx");

async function sizeOf(preview: Uint8Array | undefined) {
  const { width, height, format } = await sharp(preview).metadata();
  return { width, height, format };
}

async function withDecoder(use: (decoder: Component) => Promise<void>): Promise<void> {
  const decoder = await Component.load(decoderFile(), { executionProvider: "cpu" });
  await use(decoder).finally(() => decoder.dispose());
}

it("are what diffusers' AutoencoderTiny decodes", async () => {
  const expected = readSafetensors(new URL("expected.safetensors", fixtures));
  const tensorOf = (name: string): Tensor => {
    const { data, dims } = expected.get(name) ?? { data: [], dims: [] };
    return tensor(Float32Array.from(data), dims);
  };
  await withDecoder(async (decoder) => {
    const preview = await previewEncoder(await readModelFolder(folder), decoder)?.(tensorOf("latents"));
    expect(await sizeOf(preview)).toEqual({ width: 72, height: 48, format: "webp" });
    const reference = await encodeSmallWebp(toRgbImage(tensorOf("image")), 64 * 1024);
    const [drawn, wanted] = [await sharp(preview).raw().toBuffer(), await sharp(reference).raw().toBuffer()];
    expect(maxDifference(drawn, wanted)).toBeLessThanOrEqual(2);
  });
});

it("have a longest edge of 512 pixels, and one pixel per latent where the picture is too large to be decoded twice", async () => {
  await withDecoder(async (decoder) => {
    const encode = previewEncoder(await readModelFolder(folder), decoder);
    const latents = (height: number, width: number) =>
      tensor(new Float32Array(4 * height * width).fill(0.1), [1, 4, height, width]);
    expect(await sizeOf(await encode?.(latents(64, 128)))).toMatchObject({ width: 512, height: 256 });
    expect(await sizeOf(await encode?.(latents(136, 128)))).toMatchObject({ width: 128, height: 136 });
  });
});

it("are made during a run, with every pixel of a small picture", async () => {
  const pipeline = await SdxlPipeline.load(folder, { executionProvider: "cpu" });
  const previews: Uint8Array[] = [];
  await pipeline.generate(
    { prompt: "a lake", width: 96, height: 64, numInferenceSteps: 20, guidanceScale: 1, seeds: [3] },
    {
      onProgress(_step, _total, preview) {
        if (preview !== undefined) previews.push(preview);
      },
    },
  );
  await pipeline.dispose();
  expect(previews.length).toBeGreaterThan(0);
  for (const preview of previews) expect(await sizeOf(preview)).toEqual({ width: 96, height: 64, format: "webp" });
});

it("fall back to one pixel per latent when the decoder yields NaN", async () => {
  const broken = copyTinySdxl();
  cpSync(fileURLToPath(fixtures), broken, { recursive: true });
  const file = join(broken, "vae_decoder_tiny/model.onnx");
  putNan(file, "vae.decoder.layers.12.bias");
  const decoder = await Component.load(file, { executionProvider: "cpu" });
  const preview = await previewEncoder(
    await readModelFolder(broken),
    decoder,
  )?.(tensor(new Float32Array(4 * 8 * 8), [1, 4, 8, 8]));
  expect(await sizeOf(preview)).toMatchObject({ width: 8, height: 8 });
  await decoder.dispose();
  rmSync(broken, { recursive: true });
});

it("need a decoder of the same latents", async () => {
  const other = copyTinySdxl();
  cpSync(fileURLToPath(fixtures), other, { recursive: true });
  patchJson(join(other, "vae_decoder_tiny/config.json"), { latent_channels: 16 });
  await expect(readModelFolder(other)).rejects.toMatchObject({
    code: "MODEL_INVALID",
    message: expect.stringContaining("latent_channels is 16, but the VAE's latent_channels is 4"),
  });
  rmSync(other, { recursive: true });
});
