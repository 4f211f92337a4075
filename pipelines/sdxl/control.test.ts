import { rmSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it, onTestFinished, test } from "vitest";
import { Component } from "#pipelines/core/onnx.ts";
import { clipPixels } from "#pipelines/images/clip-pixels.ts";
import { maxDifference } from "#pipelines/testing/compare.ts";
import { tinySdxl } from "#pipelines/testing/tiny-sdxl.ts";
import { encodeImagePrompt } from "./image-prompt.ts";
import { SdxlPipeline } from "./pipeline.ts";
import {
  type ControlCase,
  controlCases,
  copyWithConditions,
  lookCount,
  lookOf,
  requestOf,
  runControlCase,
  withControlPipelines,
} from "./testing/control-cases.ts";
import { latentLimit } from "./testing/picture-fidelity.ts";

let pipelineOf: (reference: ControlCase) => Promise<SdxlPipeline>;
let close: () => void;
let closed: Promise<void>;

beforeAll(async () => {
  await new Promise<void>((ready) => {
    closed = withControlPipelines((get) => {
      pipelineOf = get;
      ready();
      return new Promise((resolve) => {
        close = resolve;
      });
    });
  });
});

afterAll(async () => {
  close();
  await closed;
});

test.each(controlCases.map((reference) => [reference.name, reference] as const))(
  "%s: every step's latents are those of diffusers",
  async (_name, reference) => {
    const differences = await runControlCase(await pipelineOf(reference), reference);
    const far = Object.entries(differences).filter(([, difference]) => !(difference <= latentLimit));
    expect(far).toEqual([]);
  },
);

const both = controlCases.find(({ name }) => name === "adapter-and-control");

it("draws the same where the model has no room as a whole", async () => {
  if (both === undefined) throw new RangeError("there is no such case");
  const folder = copyWithConditions("base");
  const pipeline = await SdxlPipeline.load(folder, { executionProvider: "cpu", maxWeightBytes: 1 });
  onTestFinished(async () => {
    await pipeline.dispose();
    rmSync(folder, { recursive: true });
  });
  const differences = Object.values(await runControlCase(pipeline, both));
  expect(Math.max(...differences)).toBeLessThan(latentLimit);
  // The decoder twice: at first, and after the text encoders, image encoder, ControlNet and UNet.
  expect(pipeline.loads).toBe(7);
});

it("draws something else without the lines, and without the picture", async () => {
  if (both === undefined) throw new RangeError("there is no such case");
  const pipeline = await pipelineOf(both);
  const noLines = await runControlCase(pipeline, { ...both, controlnet_conditioning_scale: 0 });
  const noPicture = await runControlCase(pipeline, { ...both, ip_adapter_scale: 0 });
  expect([noLines["step_2.latents"], noPicture["step_2.latents"]]).toEqual([expect.any(Number), expect.any(Number)]);
  expect(noLines["step_2.latents"]).toBeGreaterThan(0.05);
  expect(noPicture["step_2.latents"]).toBeGreaterThan(0.05);
});

it("says which part the model lacks", async () => {
  if (both === undefined) throw new RangeError("there is no such case");
  const pipeline = await pipelineOf(both);
  const { control, ...request } = requestOf(both);
  if (control === undefined) throw new RangeError("the case has no control picture");
  await expect(pipeline.generate({ ...request, control: { ...control, name: "depth" } })).rejects.toMatchObject({
    code: "UNSUPPORTED_OPTION",
    message: expect.stringContaining("has no ControlNet for depth; of those it has: canny."),
  });
  const plain = await SdxlPipeline.load(tinySdxl, { executionProvider: "cpu" });
  onTestFinished(() => plain.dispose());
  await expect(plain.generate(request)).rejects.toMatchObject({
    code: "UNSUPPORTED_OPTION",
    message: expect.stringContaining("takes no picture beside the prompt: it has no image_encoder/"),
  });
});

const processor = {
  size: 28,
  crop_size: 28,
  resample: 3 as const,
  image_mean: [0.48145466, 0.4578275, 0.40821073],
  image_std: [0.26862954, 0.26130258, 0.27577711],
};

test.each(Array.from({ length: lookCount }, (_, index) => index))(
  "picture %i is prepared for the image encoder as transformers does",
  (index) => {
    const { picture, pixelValues } = lookOf(index);
    expect(maxDifference(clipPixels(picture, processor).data, pixelValues.data)).toBeLessThan(1e-6);
  },
);

it("encodes each picture as transformers does", async () => {
  const folder = copyWithConditions("base");
  const encoder = await Component.load(join(folder, "image_encoder/model.onnx"), { executionProvider: "cpu" });
  onTestFinished(async () => {
    await encoder.dispose();
    rmSync(folder, { recursive: true });
  });
  for (let index = 0; index < lookCount; index++) {
    const { picture, imageEmbeds } = lookOf(index);
    const { positive, negative } = await encodeImagePrompt(encoder, processor, { picture, scale: 1 });
    expect(maxDifference(positive.data, imageEmbeds.data)).toBeLessThan(1e-5);
    expect(negative.data.every((value) => value === 0)).toBe(true);
  }
});
