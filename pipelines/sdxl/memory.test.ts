import { expect, it, onTestFinished } from "vitest";
import { cpuBytesOf, weightBytesOf } from "#pipelines/core/weight-bytes.ts";
import { shippedSdxl, tinySdxl } from "#pipelines/testing/tiny-sdxl.ts";
import { SdxlPipeline, type SdxlSettings } from "./pipeline.ts";
import { pictureOf } from "./testing/picture-cases.ts";

/* A model that has no room in memory as a whole. */

const request = {
  prompt: "a red apple",
  negativePrompt: "blue",
  width: 64,
  height: 64,
  numInferenceSteps: 2,
  guidanceScale: 3,
  seeds: [1, 2],
};

async function load(settings: SdxlSettings): Promise<SdxlPipeline> {
  const pipeline = await SdxlPipeline.load(tinySdxl, { executionProvider: "cpu", ...settings });
  onTestFinished(() => pipeline.dispose());
  return pipeline;
}

it("is drawn with part by part, to the same pictures", async () => {
  const whole = await load({});
  expect(whole.loads).toBe(4);
  const expected = await whole.generate(request);
  expect(whole.loads).toBe(4);

  const parts = await load({ maxWeightBytes: 1 });
  expect(parts.loads).toBe(1);
  const drawn = await parts.generate(request);
  expect(drawn.images).toEqual(expected.images);
  // Two text encoders, the UNet and the decoder, which had to go meanwhile.
  expect(parts.loads).toBe(5);
  // Each part that comes makes the one before it go: parts of two pictures each need both again.
  const small = await load({ maxWeightBytes: 1, pixelsPerPart: 64 * 64 });
  expect((await small.generate(request)).images).toHaveLength(2);
  expect(small.loads).toBe(7);
});

it("counts the encoder for references, which goes first", async () => {
  const files = ["text_encoder", "text_encoder_2", "unet", "vae_decoder"].map((part) => `${part}/model.onnx`);
  const maxWeightBytes = [...(await weightBytesOf(tinySdxl, files)).values()].reduce((sum, bytes) => sum + bytes, 0);
  const reference = { image: pictureOf(64, 64), strength: 0.5 };

  // Room for all that every job needs, and no more: what comes for a reference makes another part go.
  const full = await load({ maxWeightBytes });
  expect(full.loads).toBe(4);
  await full.generate({ ...request, reference });
  expect(full.loads).toBe(5);
  // The text encoder that went comes back, in the encoder's place; after that all that is needed is there.
  await full.generate(request);
  expect(full.loads).toBe(6);
  await full.generate(request);
  expect(full.loads).toBe(6);

  const roomy = await load({ maxWeightBytes: maxWeightBytes * 2 });
  await roomy.generate({ ...request, reference });
  await roomy.generate({ ...request, reference });
  expect(roomy.loads).toBe(5);
});

it("is refused before it is loaded where its largest part has no room alone", async () => {
  const freeBytes = async () => 1_000_000;
  await expect(load({ freeBytes })).rejects.toMatchObject({
    code: "MODEL_TOO_LARGE",
    message: /unet\/model\.onnx: its weights take [\d.]+ GB of memory on a CPU, and 0\.00 GB are free/,
  });
});

it("counts weights in float16 twice on a CPU", async () => {
  const file = "unet/model.onnx";
  const onDisk = await weightBytesOf(shippedSdxl, [file]);
  const inMemory = await cpuBytesOf(shippedSdxl, onDisk);
  const ratio = (inMemory.get(file) ?? 0) / (onDisk.get(file) ?? 1);
  expect(ratio).toBeGreaterThan(1.9);
  expect(ratio).toBeLessThanOrEqual(2);
});
