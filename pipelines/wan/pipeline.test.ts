import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { z } from "zod";
import { ComponentSet } from "#pipelines/core/component-set.ts";
import { elementCount, type Tensor, tensor } from "#pipelines/core/tensor.ts";
import { maxDifference } from "#pipelines/testing/compare.ts";
import { randomWans } from "#pipelines/testing/random-wan.ts";
import { readSafetensors } from "#pipelines/testing/safetensors.ts";
import { cleanPrompt } from "#pipelines/text/clean-prompt.ts";
import { T5Tokenizer } from "#pipelines/text/t5-tokenizer.ts";
import { decodeVideo } from "./decode-video.ts";
import { readModelFolder } from "./model-folder.ts";
import { WanPipeline, type WanStage } from "./pipeline.ts";

/** Every stage agrees with diffusers within this, in float32. */
const tolerance = 1e-4;
/** Share of 8-bit values that may be off, by one at most. */
const offByOneShare = 0.001;

const fixtures = new URL("fixtures/", import.meta.url);

const fixtureCase = z.object({
  name: z.string(),
  model: z.enum(["random-wan", "random-wan-2", "random-wan-other"]),
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
  seed: z.int(),
});

const read = (name: string): unknown => JSON.parse(readFileSync(new URL(name, fixtures), "utf8"));

const cases = readdirSync(fixtures)
  .filter((file) => file.endsWith(".safetensors") && file !== "vae-clip.safetensors")
  .map((file) => fixtureCase.parse(read(file.replace("safetensors", "json"))));

/** Puts chunks of frames, `[1, 3, some, height, width]`, together along time. */
function joinFrames(chunks: readonly Tensor[]): Float32Array {
  const frames = chunks.reduce((sum, { dims }) => sum + (dims[2] ?? 0), 0);
  const plane = elementCount((chunks[0]?.dims ?? []).slice(-2));
  const out = new Float32Array(3 * frames * plane);
  let done = 0;
  for (const { data, dims } of chunks) {
    const size = (dims[2] ?? 0) * plane;
    for (let channel = 0; channel < 3; channel++) {
      out.set(data.subarray(channel * size, (channel + 1) * size), (channel * frames + done) * plane);
    }
    done += dims[2] ?? 0;
  }
  return out;
}

/** What a run reports under the names of the reference file. */
function collectStages() {
  const values = new Map<string, ArrayLike<number>>();
  const chunks: Tensor[] = [];
  return {
    values,
    chunks,
    onStage(stage: WanStage) {
      switch (stage.name) {
        case "encoded":
          values.set("prompt_embeds", stage.prompt.data);
          if (stage.negativePrompt !== undefined) values.set("negative_prompt_embeds", stage.negativePrompt.data);
          break;
        case "prepared":
          values.set("initial_noise", stage.noise.data.slice());
          values.set("timesteps", stage.schedule.timesteps).set("sigmas", stage.schedule.sigmas);
          values.set("rotary_cos", stage.rotary.cos.data).set("rotary_sin", stage.rotary.sin.data);
          break;
        case "step":
          values.set(`step_${stage.step - 1}.noise_pred`, stage.noisePrediction.data.slice());
          values.set(`step_${stage.step - 1}.latents`, stage.latents.data.slice());
          break;
        case "decoded":
          chunks.push({ data: stage.frames.data.slice(), dims: stage.frames.dims });
      }
    },
  };
}

async function addTokens(values: Map<string, ArrayLike<number>>, reference: z.output<typeof fixtureCase>) {
  const tokenizer = await T5Tokenizer.load(join(randomWans[reference.model], "tokenizer"));
  const texts = { "": reference.prompt, negative_: reference.negative_prompt ?? "" };
  for (const [prefix, text] of Object.entries(texts)) {
    const { inputIds, attentionMask } = tokenizer.encode(cleanPrompt(text), 512);
    values.set(`${prefix}input_ids`, inputIds.data).set(`${prefix}attention_mask`, attentionMask.data);
  }
}

it("finds its reference cases", () => {
  expect(cases.map(({ name }) => name)).toEqual(
    expect.arrayContaining([
      ...["unipc", "euler", "dpm", "guidance1", "one-frame", "frames-81", "long-prompt", "two-stage"],
      ...["two-stage-one-guidance", "other-sizes"],
    ]),
  );
});

describe.each(cases)("the reference case $name", (reference) => {
  let pipeline: WanPipeline;
  beforeAll(async () => {
    pipeline = await WanPipeline.load(randomWans[reference.model], { executionProvider: "cpu" });
  });
  afterAll(() => pipeline.dispose());

  it("agrees at every stage", async () => {
    const expected = readSafetensors(new URL(`${reference.name}.safetensors`, fixtures));
    const stages = collectStages();
    const pixels: number[] = [];
    await pipeline.generate(
      {
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
      },
      async ({ data }) => {
        for (const value of data) pixels.push(value);
      },
      stages,
    );
    stages.values.set("decoded", joinFrames(stages.chunks));
    await addTokens(stages.values, reference);
    const wrong: Record<string, number> = {};
    for (const [name, { data }] of expected) {
      if (name === "frames_u8") continue;
      const difference = maxDifference(stages.values.get(name) ?? [], data);
      if (!(difference <= tolerance)) wrong[name] = difference;
    }
    expect(wrong).toEqual({});

    const expectedPixels = expected.get("frames_u8")?.data ?? [];
    expect(maxDifference(pixels, expectedPixels)).toBeLessThanOrEqual(1);
    const off = pixels.filter((value, index) => value !== expectedPixels[index]).length;
    expect(off / pixels.length).toBeLessThanOrEqual(offByOneShare);
  });
});

it("tokenizes and cleans texts of many scripts as the reference does", async () => {
  const names = ["random-wan", "random-wan-other"] as const;
  const tokens = z.array(z.int());
  const texts = z
    .array(z.object({ text: z.string(), cleaned: z.string(), "random-wan": tokens, "random-wan-other": tokens }))
    .parse(read("tokenizer-cases.json"));
  expect(texts.length).toBeGreaterThan(40);
  for (const name of names) {
    const tokenizer = await T5Tokenizer.load(join(randomWans[name], "tokenizer"));
    for (const { text, cleaned, ...ids } of texts) {
      expect(cleanPrompt(text)).toBe(cleaned);
      const { inputIds, length } = tokenizer.encode(cleaned, 512);
      expect({ text, ids: [...inputIds.data.subarray(0, length)] }).toEqual({ text, ids: ids[name] });
    }
  }
});

it("decodes chunk by chunk what diffusers decodes at once", async () => {
  const model = await readModelFolder(randomWans["random-wan"]);
  const clip = readSafetensors(new URL("vae-clip.safetensors", fixtures));
  const parameters = clip.get("latent_parameters");
  const expected = clip.get("decoded");
  if (!(parameters?.data instanceof Float32Array) || expected === undefined) throw new Error("the clip is missing");
  const channels = model.latentChannels;
  const dims = parameters.dims.with(1, channels);
  const size = parameters.data.length / (2 * channels);
  const { mean = [], std = [] } = model.vae.normalization ?? {};
  const latents = parameters.data
    .subarray(0, channels * size)
    .map((value, index) => (value - (mean[Math.floor(index / size)] ?? 0)) / (std[Math.floor(index / size)] ?? 1));
  const components = new ComponentSet(model.path, { executionProvider: "cpu" });
  const chunks: Tensor[] = [];
  for await (const chunk of decodeVideo(components, model, tensor(latents, dims))) {
    chunks.push({ data: chunk.data.slice(), dims: chunk.dims });
  }
  await components.dispose();
  expect(chunks.map((chunk) => chunk.dims[2])).toEqual([1, 4, 4]);
  expect(maxDifference(joinFrames(chunks), expected.data)).toBeLessThan(1e-5);
});
