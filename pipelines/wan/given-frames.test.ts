import { rmSync } from "node:fs";
import { afterAll, describe, expect, it, onTestFinished } from "vitest";
import { EmbeddingCache } from "#pipelines/diffusion/embedding-cache.ts";
import type { RgbImage } from "#pipelines/images/rgb.ts";
import { formulaPicture } from "#pipelines/testing/formula-picture.ts";
import { copyImageWan, type ImageWan } from "#pipelines/testing/random-wan.ts";
import { WanPipeline, type WanRequest, type WanSettings } from "./pipeline.ts";
import { collectClip, ImageModels, imageCases, imageDifference } from "./testing/image-cases.ts";
import { pixelLimit, stageLimit } from "./testing/image-fidelity.ts";

const models = new ImageModels();
afterAll(() => models.dispose());

it("finds its reference cases", () => {
  expect(imageCases.map(({ name }) => name)).toEqual([
    ...["guided", "unguided", "one-frame", "wide", "tall", "first-and-last", "first-and-last-unguided"],
    ...["two-stages", "two-stages-first-and-last", "other-sizes", "by-token", "by-token-text"],
  ]);
});

it.each(imageCases)("conditions, denoises and draws the case $name as diffusers does", async (reference) => {
  const { pixelValues, features, condition, steps, pixels, pixelsOff } = await imageDifference(models, reference);
  expect(pixelValues).toBeLessThanOrEqual(pixelLimit);
  expect(Math.max(features, condition, steps)).toBeLessThanOrEqual(stageLimit);
  expect(pixels).toBeLessThanOrEqual(1);
  expect(pixelsOff).toBeLessThanOrEqual(0.001);
});

const request: WanRequest = {
  prompt: "a mountain lake at sunrise",
  width: 32,
  height: 32,
  frames: 5,
  numInferenceSteps: 2,
  guidanceScale: 1,
  seed: 7,
};
/** A pipeline of the test's own, given back at its end. */
async function load(name: ImageWan, settings: WanSettings = {}): Promise<WanPipeline> {
  const folder = copyImageWan(name);
  const pipeline = await WanPipeline.load(folder, { executionProvider: "cpu", ...settings });
  onTestFinished(async () => {
    await pipeline.dispose();
    rmSync(folder, { recursive: true });
  });
  return pipeline;
}

const [one, other] = [formulaPicture(32, 32, 1), formulaPicture(32, 32, 2)];

describe("the given frames", () => {
  const clip = async (name: ImageWan, changes: Partial<WanRequest>) =>
    (await collectClip(await models.get(name), { ...request, ...changes })).frames;

  it.each(["i2v", "i2v-2", "ti2v"] as const)("change the clip of %s, and the same make the same", async (name) => {
    const first = await clip(name, { condition: { kind: "frames", first: one } });
    expect(await clip(name, { condition: { kind: "frames", first: one } })).toEqual(first);
    expect(await clip(name, { condition: { kind: "frames", first: other } })).not.toEqual(first);
    expect(await clip(name, { condition: { kind: "frames", first: one }, seed: 8 })).not.toEqual(first);
  });

  it("stand in the last frame of a clip whose length the model does not make, and in those after it", async () => {
    const condition = { kind: "frames", first: one, last: other } as const;
    const { values, frames } = await collectClip(await models.get("i2v-2"), { ...request, frames: 4, condition });
    expect(frames).toHaveLength(4);
    const mask = Array.from(values.get("condition") ?? []).slice(0, 4 * 2 * 16);
    const given = Array.from({ length: 4 * 2 }, (_, plane) => mask.slice(plane * 16, (plane + 1) * 16));
    expect(given.map((plane) => new Set(plane))).toEqual(
      // The first latent frame is given; of the frames 1 to 4, those from 3 on.
      [1, 0, 1, 0, 1, 1, 1, 1].map((value) => new Set([value])),
    );
  });

  it("must have the clip's size", async () => {
    const condition = { kind: "frames", first: formulaPicture(48, 32) } as const;
    await expect(clip("i2v", { condition })).rejects.toThrow("a given frame is 48×32, the clip 32×32: fit it first");
  });
});

describe("what the folder cannot do is refused", () => {
  it.each([
    ["i2v", { kind: "frames", first: one, last: other }, "UNSUPPORTED_OPTION", "use a first-and-last-frame model"],
    ["flf2v", { kind: "frames", first: one }, "UNSUPPORTED_OPTION", "use an image-to-video model"],
    ["i2v", { kind: "frames", last: other }, "INVALID_JOB", "the last frame needs a first frame beside it"],
    ["i2v", undefined, "INVALID_JOB", "begins its clips with a picture, and the job has no such picture: send one"],
    ["ti2v", { kind: "frames", first: one, last: other }, "UNSUPPORTED_OPTION", "use a first-and-last-frame model"],
    ["i2v-2", { kind: "vace" }, "UNSUPPORTED_OPTION", "use a VACE model"],
    ["i2v", { kind: "anchor", first: one, strength: 0.5 }, "INVALID_JOB", "use a text-to-video model"],
  ] as const)("by %s: %j", async (name, condition, code, message) => {
    const used = await models.get(name);
    const before = used.millisecondsInRun;
    await expect(collectClip(used, { ...request, condition })).rejects.toMatchObject({
      code,
      permanent: true,
      message: expect.stringContaining(message),
    });
    expect(used.millisecondsInRun).toBe(before);
  });

  it("and so is a last frame of a picture", async () => {
    const condition = { kind: "frames", first: one, last: other } as const;
    await expect(collectClip(await models.get("flf2v"), { ...request, frames: 1, condition })).rejects.toMatchObject({
      code: "INVALID_JOB",
      message: expect.stringContaining("a clip of one frame has no last frame beside the first"),
    });
  });
});

describe("memory", () => {
  const condition = { kind: "frames", first: one } as const;

  it("of the image encoder is given back, and not needed for a picture that was encoded before", async () => {
    const embeddings = new EmbeddingCache();
    const used = await load("i2v", { maxWeightBytes: 0, embeddings });
    const seen: string[] = [];
    const watch = async (changes: Partial<WanRequest>) => {
      seen.length = 0;
      const frames: RgbImage[] = [];
      await used.generate({ ...request, frames: 1, condition, ...changes }, async (frame) => void frames.push(frame), {
        onStage: ({ name }) => void seen.push(`${name}: ${used.inMemory.join(" ")}`),
      });
      return frames;
    };
    const { loads } = used.loading;
    const frames = await watch({});
    const [text, encoder, transformer] = ["text_encoder", "vae_encoder", "transformer"];
    expect(seen.slice(0, 4)).toEqual([
      `encoded: ${text}/model.onnx`,
      `conditioned: ${encoder}/first.onnx`,
      `prepared: ${encoder}/first.onnx`,
      `step: ${transformer}/model.onnx`,
    ]);
    expect(used.loading.loads - loads).toBe(5);
    expect(await watch({})).toEqual(frames);
    // Neither text encoder nor image encoder.
    expect(used.loading.loads - loads).toBe(5 + 3);
    await watch({ condition: { kind: "frames", first: other } });
    expect(used.loading.loads - loads).toBe(5 + 3 + 4);
  });
});

it("a cancel is heard while the pictures are encoded", async () => {
  const used = await load("i2v");
  const controller = new AbortController();
  const stop = new Error("cancelled by the user");
  const stages: string[] = [];
  const run = used.generate(
    { ...request, frames: 81, condition: { kind: "frames", first: one } },
    async () => undefined,
    {
      signal: controller.signal,
      onStage: ({ name }) => {
        stages.push(name);
        setImmediate(() => controller.abort(stop));
      },
    },
  );
  await expect(run).rejects.toBe(stop);
  expect(stages).toEqual(["encoded"]);
});
