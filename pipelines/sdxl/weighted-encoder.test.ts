import { rmSync, statSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import type { Lora } from "#pipelines/lora/merged-graph.ts";
import { writeWithExternalData } from "#pipelines/lora/testing/external-copy.ts";
import { fixtureLora } from "#pipelines/lora/testing/lora-fidelity.ts";
import { maxDifference } from "#pipelines/testing/compare.ts";
import { copyTinySdxl, shippedSdxl, tinySdxl } from "#pipelines/testing/tiny-sdxl.ts";
import { SdxlPipeline } from "./pipeline.ts";
import { readWeights } from "./read-weights.ts";
import {
  TestEncoders,
  type WeightCase,
  weightCases,
  weightDifference,
  weightFidelity,
} from "./testing/weight-fidelity.ts";

let encoders: TestEncoders;
beforeAll(async () => {
  encoders = await TestEncoders.load();
});
afterAll(() => encoders.dispose());

const limit = weightFidelity.cases[0]?.limit ?? 0;
const drawing = { width: 64, height: 64, numInferenceSteps: 1, guidanceScale: 1, seeds: [1] };
const job = (prompt: string): WeightCase => ({ name: "", prompt, terms: "", negative_prompt: null });

describe("a prompt with weights", () => {
  it("has its reference cases", () => {
    expect(weightCases.length).toBeGreaterThanOrEqual(40);
    expect(limit).toBeLessThanOrEqual(1e-5);
  });

  it.each(weightCases)("$name: equals compel", async (one) => {
    expect(await weightDifference(encoders, one)).toBeLessThanOrEqual(limit);
  });

  it("counts the tokens of the parts, and pads both prompts to the same chunks", async () => {
    const long = { ...job(`(snow)1.2 ${"pine trees ".repeat(50)}`), negative_prompt: "(fog)0.5" };
    const { positive, negative, chunks, promptTokens } = await encoders.encode(long);
    expect(chunks).toBeGreaterThan(1);
    expect(promptTokens).toBeGreaterThan(100);
    expect(negative?.hidden.dims).toEqual(positive.hidden.dims);
    expect(positive.hidden.dims[1]).toBe(77 * chunks);
  });

  it("leaves out layers of the positive prompt alone when clip skip says so", async () => {
    const one = { ...job("a (red)1.3 fox, (snow)0.4"), negative_prompt: "(fog)0.5" };
    const [whole, skipped] = [await encoders.encode(one), await encoders.encode(one, 1)];
    expect(maxDifference(whole.positive.hidden.data, skipped.positive.hidden.data)).toBeGreaterThan(1e-3);
    expect(maxDifference(whole.negative?.hidden.data ?? [], skipped.negative?.hidden.data ?? [])).toBe(0);
    await expect(encoders.encode(one, 9)).rejects.toMatchObject({ code: "INVALID_JOB" });
  });

  it("takes a weight of 1 for no weight", async () => {
    const [plain, one] = [
      await encoders.encode(job("a red fox snow+")),
      await encoders.encode(job("a (red)1.0 fox snow+")),
    ];
    expect(maxDifference(plain.positive.hidden.data, one.positive.hidden.data)).toBe(0);
  });
});

it("lowers weights in the shipped model too, whose file has float16 weights", async () => {
  const shipped = await TestEncoders.load(shippedSdxl);
  const statesOf = async (prompt: string) => (await shipped.encode(job(prompt))).positive.hidden.data;
  const none = await statesOf("a red apple, (blue)0");
  const distanceAt = async (weight: number) => maxDifference(none, await statesOf(`a red apple, (blue)${weight}`));
  const little = await distanceAt(0.3);
  const half = await distanceAt(0.6);
  const most = await distanceAt(0.99);
  await shipped.dispose();
  expect(little).toBeGreaterThan(1e-3);
  expect(half).toBeGreaterThan(little);
  expect(most).toBeGreaterThan(half);
});

describe("a weight below 1", () => {
  const lowered = job("a red fox, (snow)0.4");
  const statesOf = async (of: TestEncoders) => (await of.encode(lowered)).positive.hidden.data;

  it("is the same where the encoders' weights lie in files of their own", async () => {
    const folder = copyTinySdxl();
    onTestFinished(() => rmSync(folder, { recursive: true }));
    for (const part of ["text_encoder", "text_encoder_2"]) {
      await writeWithExternalData(`${tinySdxl}/${part}/model.onnx`, `${folder}/${part}`);
      expect(statSync(`${folder}/${part}/model.onnx_data`).size).toBeGreaterThan(50_000);
    }
    const external = await TestEncoders.load(folder);
    onTestFinished(() => external.dispose());
    expect(maxDifference(await statesOf(external), await statesOf(encoders))).toBe(0);
  });

  it("lowers what the encoders say with a LoRA in them, and without it again what they said before", async () => {
    const pipeline = await SdxlPipeline.load(tinySdxl, { executionProvider: "cpu" });
    onTestFinished(() => pipeline.dispose());
    const weightedStates = async (weight: number, loras: readonly Lora[]) => {
      const prompt = `a red fox, (snow)${weight}`;
      const read = readWeights({ prompt, compel_enabled: true });
      if (read.strategy !== "compel") throw new Error("no weights");
      let states = new Float32Array();
      await pipeline.generate(
        { ...drawing, prompt, weighted: read.prompts, loras },
        {
          onStage(stage) {
            if (stage.name === "encoded") states = stage.embeddings.positive.hidden.data.slice();
          },
        },
      );
      return states;
    };
    const lora = [fixtureLora("peft", 1)];
    const before = await weightedStates(0.4, []);
    const changed = await weightedStates(0.4, lora);
    expect(maxDifference(changed, before)).toBeGreaterThan(0.01);
    // Close to 1 it is close to the prompt without weights, drawn with the same LoRA; 0.4 is not.
    const plain = await weightedStates(1.000001, lora);
    expect(maxDifference(await weightedStates(0.99999, lora), plain)).toBeLessThan(1e-3);
    expect(maxDifference(changed, plain)).toBeGreaterThan(0.01);
    expect(await weightedStates(0.4, [])).toEqual(before);
  });
});
