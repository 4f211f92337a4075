import { readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { z } from "zod";
import { maxDifference } from "#pipelines/testing/compare.ts";
import { readSafetensors } from "#pipelines/testing/safetensors.ts";
import { copyTinySdxl, patchJson, shippedSdxl, tinySdxl } from "#pipelines/testing/tiny-sdxl.ts";
import { SdxlPipeline } from "./pipeline.ts";
import type { SdxlStage } from "./request.ts";

/** Every stage agrees with diffusers within this, in float32. */
const tolerance = 1e-4;
/** Share of 8-bit values that may be off, by one at most. */
const offByOneShare = 0.001;

const fixtures = new URL("fixtures/", import.meta.url);

const fixtureCase = z.object({
  /** Which model made it: the random one of the tests, or the one that ships. */
  model: z.enum(["random", "shipped"]),
  name: z.string(),
  prompt: z.string(),
  negative_prompt: z.string().nullable(),
  width: z.int(),
  height: z.int(),
  steps: z.int(),
  guidance_scale: z.number(),
  guidance_rescale: z.number(),
  clip_skip: z.int().nullable(),
  seed: z.int(),
  num_images: z.int(),
  scheduler_overrides: z.record(z.string(), z.unknown()),
});

const cases = readdirSync(fixtures)
  .filter((file) => file.endsWith(".safetensors") && file !== "randn.safetensors")
  .map((file) =>
    fixtureCase.parse(JSON.parse(readFileSync(new URL(file.replace("safetensors", "json"), fixtures), "utf8"))),
  );

/** What a run reports under the names of the reference file. */
function collectStages(): { readonly values: Map<string, ArrayLike<number>>; onStage(stage: SdxlStage): void } {
  const values = new Map<string, ArrayLike<number>>();
  const decoded: number[] = [];
  return {
    values,
    onStage(stage) {
      switch (stage.name) {
        case "encoded": {
          const { positive, negative } = stage.embeddings;
          values.set("prompt_embeds", positive.hidden.data).set("pooled_prompt_embeds", positive.pooled.data);
          values.set("add_time_ids", stage.timeIds.data);
          if (negative !== undefined) {
            values.set("negative_prompt_embeds", negative.hidden.data);
            values.set("negative_pooled_prompt_embeds", negative.pooled.data);
          }
          break;
        }
        case "prepared":
          values.set("initial_noise", stage.noise.data.slice());
          values.set("timesteps", stage.schedule.timesteps).set("sigmas", stage.schedule.sigmas);
          values.set("init_noise_sigma", [stage.schedule.initNoiseSigma]);
          break;
        case "step":
          values.set(`step_${stage.step - 1}.noise_pred`, stage.noisePrediction.data.slice());
          values.set(`step_${stage.step - 1}.latents`, stage.latents.data.slice());
          break;
        case "decoded":
          decoded.push(...stage.image.data);
          values.set("decoded", decoded);
      }
    },
  };
}

it("finds its reference cases", () => {
  expect(cases.map(({ name }) => name)).toEqual(
    expect.arrayContaining([
      "one",
      "three",
      "odd-size",
      "guidance1",
      "negative-empty",
      "clip-skip",
      "v-prediction",
      "turbo",
      "lightning",
      "shipped",
    ]),
  );
});

describe.each(cases)("the reference case $name", (reference) => {
  let folder = reference.model === "shipped" ? shippedSdxl : tinySdxl;
  let pipeline: SdxlPipeline;
  const hasOverrides = Object.keys(reference.scheduler_overrides).length > 0;

  beforeAll(async () => {
    if (hasOverrides) {
      folder = copyTinySdxl();
      patchJson(join(folder, "scheduler/scheduler_config.json"), reference.scheduler_overrides);
    }
    pipeline = await SdxlPipeline.load(folder, { executionProvider: "cpu" });
  });
  afterAll(async () => {
    await pipeline.dispose();
    if (hasOverrides) rmSync(folder, { recursive: true });
  });

  it("agrees at every stage", async () => {
    const expected = readSafetensors(new URL(`${reference.name}.safetensors`, fixtures));
    const stages = collectStages();
    const { images } = await pipeline.generate(
      {
        prompt: reference.prompt,
        negativePrompt: reference.negative_prompt ?? undefined,
        width: reference.width,
        height: reference.height,
        numInferenceSteps: reference.steps,
        guidanceScale: reference.guidance_scale,
        guidanceRescale: reference.guidance_rescale,
        clipSkip: reference.clip_skip ?? undefined,
        seeds: Array.from({ length: reference.num_images }, (_, index) => reference.seed + index),
      },
      stages,
    );
    const wrong: Record<string, number> = {};
    const largestOf = (name: string) => {
      const data = expected.get(name)?.data ?? [];
      return maxDifference(data, new Float32Array(data.length));
    };
    // Zero terminal SNR starts at sigma 4096: the rounding of that sample's last bit stays in the steps that follow.
    const carried = 1e-7 * largestOf("initial_noise") * largestOf("init_noise_sigma");
    for (const [name, { data }] of expected) {
      if (name === "image_u8") continue;
      const difference = maxDifference(stages.values.get(name) ?? [], data);
      if (!(difference <= Math.max(tolerance, 1e-6 * largestOf(name), carried))) wrong[name] = difference;
    }
    expect(wrong).toEqual({});

    const expectedPixels = expected.get("image_u8")?.data ?? [];
    const pixels = images.flatMap(({ data }) => [...data]);
    expect(maxDifference(pixels, expectedPixels)).toBeLessThanOrEqual(1);
    const off = pixels.filter((value, index) => value !== expectedPixels[index]).length;
    expect(off / pixels.length).toBeLessThanOrEqual(offByOneShare);
  });
});
