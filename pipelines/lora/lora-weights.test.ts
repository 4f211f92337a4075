import { afterAll, beforeAll, expect, it } from "vitest";
import { SdxlPipeline } from "#pipelines/sdxl/pipeline.ts";
import { maxDifference } from "#pipelines/testing/compare.ts";
import { tinySdxl } from "#pipelines/testing/tiny-sdxl.ts";
import { drawWith, fixtureLora, loraCases, loraDifference } from "./testing/lora-fidelity.ts";

let pipeline: SdxlPipeline;
beforeAll(async () => {
  pipeline = await SdxlPipeline.load(tinySdxl, { executionProvider: "cpu" });
});
afterAll(() => pipeline.dispose());

it.each(Object.keys(loraCases.cases))("draws what diffusers draws: %s", async (name) => {
  expect(await loraDifference(pipeline, name)).toBeLessThan(1e-4);
});

it("changes what is drawn, and without it the model is bit for bit what it was", async () => {
  const before = await drawWith(pipeline, []);
  const changed = await drawWith(pipeline, [fixtureLora("kohya", 1)]);
  expect(maxDifference(changed.latents, before.latents)).toBeGreaterThan(0.1);
  expect(await drawWith(pipeline, [])).toEqual(before);
});
