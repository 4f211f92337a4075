import { copyFileSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it, onTestFinished } from "vitest";
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

it("reads the files that the job names now, where a part is loaded again and an earlier job's are gone", async () => {
  const folder = mkdtempSync(join(tmpdir(), "lora-weights-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const inParts = await SdxlPipeline.load(tinySdxl, {
    executionProvider: "cpu",
    maxWeightBytes: 1,
    freeBytes: async () => 1e12,
  });
  const drawn: Float32Array[] = [];
  for (const name of ["first", "second"]) {
    const path = join(folder, `${name}.safetensors`);
    copyFileSync(fixtureLora("kohya", 1).path, path);
    drawn.push((await drawWith(inParts, [{ path, version: "the same", strength: 1 }])).latents);
    rmSync(path);
  }
  await inParts.dispose();
  expect(drawn[1]).toEqual(drawn[0]);
});

it("changes what is drawn, and without it the model is bit for bit what it was", async () => {
  const before = await drawWith(pipeline, []);
  const changed = await drawWith(pipeline, [fixtureLora("kohya", 1)]);
  expect(maxDifference(changed.latents, before.latents)).toBeGreaterThan(0.1);
  expect(await drawWith(pipeline, [])).toEqual(before);
});
