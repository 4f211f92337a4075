import { readFileSync, rmSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { z } from "zod";
import { concat } from "#pipelines/core/tensor.ts";
import { EmbeddingCache } from "#pipelines/diffusion/embedding-cache.ts";
import { clipPixels } from "#pipelines/images/clip-pixels.ts";
import type { RgbImage } from "#pipelines/images/rgb.ts";
import { maxDifference } from "#pipelines/testing/compare.ts";
import { formulaPicture } from "#pipelines/testing/formula-picture.ts";
import { copyImageWan, type ImageWan } from "#pipelines/testing/random-wan.ts";
import { readSafetensors } from "#pipelines/testing/safetensors.ts";
import { WanPipeline, type WanRequest, type WanSettings, type WanStage } from "./pipeline.ts";

/** Every stage agrees with diffusers within this, in float32. */
const tolerance = 1e-4;
/** Share of 8-bit values that may be off, by one at most. */
const offByOneShare = 0.001;

const fixtures = new URL("fixtures/i2v/", import.meta.url);
const expectedValues = readSafetensors(new URL("expected.safetensors", fixtures));
const cases = z
  .array(
    z.object({
      name: z.string(),
      model: z.enum(["i2v", "flf2v", "i2v-2", "i2v-other", "ti2v"]),
      prompt: z.string(),
      negative_prompt: z.string().nullable(),
      width: z.int(),
      height: z.int(),
      frames: z.int(),
      steps: z.int(),
      guidance_scale: z.number(),
      guidance_scale_2: z.number().nullable(),
      flow_shift: z.number().nullable(),
      scheduler: z.string().nullable(),
      first: z.int().nullable(),
      last: z.int().nullable(),
      seed: z.int(),
    }),
  )
  .parse(JSON.parse(readFileSync(new URL("cases.json", fixtures), "utf8")));

const folders: string[] = [];
const pipelines = new Map<ImageWan, WanPipeline>();

function folderOf(name: ImageWan): string {
  const folder = copyImageWan(name);
  folders.push(folder);
  return folder;
}

const load = (name: ImageWan, settings: WanSettings = {}) =>
  WanPipeline.load(folderOf(name), { executionProvider: "cpu", ...settings });

beforeAll(async () => {
  for (const name of ["i2v", "flf2v", "i2v-2", "i2v-other", "ti2v"] as const) pipelines.set(name, await load(name));
});
afterAll(async () => {
  for (const pipeline of pipelines.values()) await pipeline.dispose();
  for (const folder of folders) rmSync(folder, { recursive: true });
});

function loaded(name: ImageWan): WanPipeline {
  const pipeline = pipelines.get(name);
  if (pipeline === undefined) throw new Error(`${name} is not loaded`);
  return pipeline;
}

/** Runs, and keeps what the stages made under the names of the reference file. */
async function collect(used: WanPipeline, request: WanRequest) {
  const values = new Map<string, ArrayLike<number>>();
  const frames: RgbImage[] = [];
  const onStage = (stage: WanStage) => {
    if (stage.name === "conditioned") {
      const { channels, inputs, firstFrame } = stage.conditioning;
      values.set("condition", (channels ?? firstFrame)?.data.slice() ?? []);
      const features = inputs?.encoder_hidden_states_image;
      if (features !== undefined) values.set("image_embeds", features.data.slice());
    }
    if (stage.name === "step") {
      values.set(`step_${stage.step - 1}.noise_pred`, stage.noisePrediction.data.slice());
      values.set(`step_${stage.step - 1}.latents`, stage.latents.data.slice());
    }
  };
  await used.generate(request, async (frame) => void frames.push(frame), { onStage });
  return { values, frames };
}

it("finds its reference cases", () => {
  expect(cases.length).toBeGreaterThanOrEqual(10);
  expect(new Set(cases.map(({ model }) => model)).size).toBe(5);
});

type ImageCase = (typeof cases)[number];

const picturesOf = ({ first, last, width, height }: ImageCase) =>
  [first, last].filter((number) => number !== null).map((number) => formulaPicture(width, height, number));

function requestOf(reference: ImageCase): WanRequest {
  const [first, last] = picturesOf(reference);
  return {
    prompt: reference.prompt,
    negativePrompt: reference.negative_prompt ?? undefined,
    width: reference.width,
    height: reference.height,
    frames: reference.frames,
    numInferenceSteps: reference.steps,
    guidanceScale: reference.guidance_scale,
    guidanceScale2: reference.guidance_scale_2 ?? undefined,
    flowShift: reference.flow_shift ?? undefined,
    scheduler: reference.scheduler ?? undefined,
    seed: reference.seed,
    condition: first && { kind: "frames", first, last },
  };
}

describe.each(cases)("the reference case $name", (reference) => {
  const prefix = `${reference.name}/`;
  const own = [...expectedValues].filter(([key]) => key.startsWith(prefix));
  const expected = new Map(own.map(([key, value]) => [key.slice(prefix.length), value]));

  it("agrees at every stage", async () => {
    const used = loaded(reference.model);
    const { values, frames } = await collect(used, requestOf(reference));
    const { imageProcessor } = used.model;
    if (imageProcessor !== undefined) {
      const pixels = picturesOf(reference).map((picture) => clipPixels(picture, imageProcessor));
      values.set("pixel_values", concat(pixels, 0).data);
    }
    expect([...values.keys(), "frames_u8"].toSorted()).toEqual([...expected.keys()].toSorted());
    const wrong: Record<string, number> = {};
    for (const [key, { data }] of expected) {
      if (key === "frames_u8") continue;
      const difference = maxDifference(values.get(key) ?? [], data);
      if (!(difference <= (key === "pixel_values" ? 1e-6 : tolerance))) wrong[key] = difference;
    }
    expect(wrong).toEqual({});

    const pixels = frames.flatMap(({ data }) => [...data]);
    const expectedPixels = expected.get("frames_u8")?.data ?? [];
    expect(maxDifference(pixels, expectedPixels)).toBeLessThanOrEqual(1);
    const off = pixels.filter((value, index) => value !== expectedPixels[index]).length;
    expect(off / pixels.length).toBeLessThanOrEqual(offByOneShare);
  });
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
const [one, other] = [formulaPicture(32, 32, 1), formulaPicture(32, 32, 2)];

describe("the given frames", () => {
  const clip = async (name: ImageWan, changes: Partial<WanRequest>) =>
    (await collect(loaded(name), { ...request, ...changes })).frames;

  it.each(["i2v", "i2v-2", "ti2v"] as const)("change the clip of %s, and the same make the same", async (name) => {
    const first = await clip(name, { condition: { kind: "frames", first: one } });
    expect(await clip(name, { condition: { kind: "frames", first: one } })).toEqual(first);
    expect(await clip(name, { condition: { kind: "frames", first: other } })).not.toEqual(first);
    expect(await clip(name, { condition: { kind: "frames", first: one }, seed: 8 })).not.toEqual(first);
  });

  it("stand in the last frame of a clip whose length the model does not make, and in those after it", async () => {
    const condition = { kind: "frames", first: one, last: other } as const;
    const { values, frames } = await collect(loaded("i2v-2"), { ...request, frames: 4, condition });
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
    const before = loaded(name).millisecondsInRun;
    await expect(collect(loaded(name), { ...request, condition })).rejects.toMatchObject({
      code,
      permanent: true,
      message: expect.stringContaining(message),
    });
    expect(loaded(name).millisecondsInRun).toBe(before);
  });

  it("and so is a last frame of a picture", async () => {
    const condition = { kind: "frames", first: one, last: other } as const;
    await expect(collect(loaded("flf2v"), { ...request, frames: 1, condition })).rejects.toMatchObject({
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
    await used.dispose();
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
  await used.dispose();
});
