import { mkdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, afterEach, describe, expect, it } from "vitest";
import { createScheduler } from "#pipelines/schedulers/index.ts";
import { patchJson } from "#pipelines/testing/tiny-sdxl.ts";
import { handOverOf } from "./hand-over.ts";
import { readModelFolder } from "./model-folder.ts";
import { latentLimit } from "./testing/picture-fidelity.ts";
import { copyRefinerModel, cuts, RefinerModels, refinerCases, refinerDifference } from "./testing/refiner-cases.ts";

const models = new RefinerModels();
afterAll(() => models.dispose());

const request = {
  prompt: "a red fox",
  width: 64,
  height: 64,
  numInferenceSteps: 5,
  guidanceScale: 3,
  seeds: [1],
};

it.each(cuts)("hands over where diffusers does, with $scheduler", ({ scheduler: name, config, cuts: expected }) => {
  const runs = expected.map(([steps, share]) => {
    const schedule = createScheduler(name, config, "test", {}).schedule(steps);
    const { end, start } = handOverOf(schedule, share, config);
    return [steps, share, end, start];
  });
  expect(runs).toEqual(expected);
});

it.each(refinerCases)("goes through all steps of $name as diffusers does", async (reference) => {
  expect(await refinerDifference(models, reference)).toBeLessThanOrEqual(latentLimit);
});

describe("a model with a refiner", () => {
  /** Images and the calls of the models, in their order. */
  async function run(changes: object) {
    const indices: number[] = [];
    const pipeline = await models.get("handover");
    const { images, denoisingEnd, steps } = await pipeline.generate(
      { ...request, ...changes },
      { onStage: (stage) => stage.name === "step" && indices.push(stage.stepIndex) },
    );
    return { pixels: images.map(({ data }) => data), denoisingEnd, steps, indices };
  }

  it("uses it for the last fifth, unless the job says otherwise", async () => {
    const usual = await run({});
    expect(usual).toMatchObject({ denoisingEnd: 0.8, steps: 5, indices: [0, 1, 2, 3, 4] });
    expect(await run({ denoisingEnd: 0.8 })).toEqual(usual);
    const alone = await run({ denoisingEnd: 1 });
    expect(alone).toMatchObject({ denoisingEnd: undefined, indices: [0, 1, 2, 3, 4] });
    expect(alone.pixels).not.toEqual(usual.pixels);
    // The last timestep lies before this share.
    expect(await run({ denoisingEnd: 0.999 })).toEqual(alone);
    expect((await run({ aestheticScore: 1 })).pixels).not.toEqual(usual.pixels);
  });

  it("reports progress without a gap, where a step of order 2 is run by both", async () => {
    const pipeline = await models.get("handover");
    const progress: (readonly [number, number])[] = [];
    await pipeline.generate(
      { ...request, scheduler: "heun", denoisingEnd: 0.5 },
      { onProgress: (step, total) => progress.push([step, total]) },
    );
    expect(progress.map(([, total]) => total)).toEqual(Array(10).fill(5));
    expect(progress.map(([step]) => step)).toEqual([0, 1, 1, 2, 2, 3, 3, 4, 4, 5]);
  });

  it("loads each part when its stage comes where it has no room as a whole, and draws the same", async () => {
    const { SdxlPipeline } = await import("./pipeline.ts");
    const folder = copyRefinerModel("handover");
    const small = await SdxlPipeline.load(folder, { executionProvider: "cpu", maxWeightBytes: 1 });
    const { images } = await small.generate(request);
    expect(images.map(({ data }) => data)).toEqual((await run({})).pixels);
    expect(small.loads).toBeGreaterThan(5);
    await small.dispose();
    rmSync(folder, { recursive: true });
  });
});

describe("what cannot be", () => {
  it.each([
    ["lcm", { denoisingEnd: 0.8 }, "UNSUPPORTED_OPTION", /has no refiner\//],
    ["lcm", { negativeAestheticScore: 1 }, "UNSUPPORTED_OPTION", /takes no aesthetic_score/],
    ["refiner", {}, "INVALID_JOB", /a refiner, which draws nothing from text alone/],
  ] as const)("is refused by the model %s: %j", async (model, changes, code, message) => {
    const pipeline = await models.get(model);
    await expect(pipeline.generate({ ...request, ...changes })).rejects.toMatchObject({
      code,
      message: expect.stringMatching(message),
    });
  });

  let folder = "";
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  it.each([
    ["model_index.json", { requires_aesthetics_score: false }, /refiner.unet.*the width of pooled text and size ids/],
    ["unet/config.json", { in_channels: 9 }, /refiner.unet.*in_channels is 9/],
    ["unet/config.json", { cross_attention_dim: 64 }, /the text encoder's width is 40/],
  ])("is named when the refiner's %s is %j", async (file, changes, message) => {
    folder = copyRefinerModel("handover");
    patchJson(join(folder, "refiner", file), changes);
    await expect(readModelFolder(folder)).rejects.toMatchObject({
      code: "MODEL_INVALID",
      message: expect.stringMatching(message),
    });
  });

  it("is named when the refiner is a model of another kind, or a link to the model itself", async () => {
    folder = copyRefinerModel("handover");
    patchJson(join(folder, "refiner/model_index.json"), { _class_name: "WanPipeline" });
    await expect(readModelFolder(folder)).rejects.toMatchObject({
      code: "MODEL_UNSUITABLE",
      message: expect.stringMatching(/refiner: the refiner is a WanPipeline; only/),
    });
    rmSync(join(folder, "refiner"), { recursive: true });
    symlinkSync(".", join(folder, "refiner"));
    await expect(readModelFolder(folder)).rejects.toMatchObject({
      code: "MODEL_INVALID",
      message: expect.stringMatching(/refiner: it is a link to the model that it is in/),
    });
  });

  it.each([
    { denoising_end: 0.5 },
    { refiner_switch_at: "0.5" },
    { job_types: { sdxl_image_fast: { denoising_start: 0.5 } } },
    { sampler_presets: { euler: { aesthetic_score: 7 } } },
  ])("is named when the model itself wants a refiner that it does not have: %j", async (defaults) => {
    folder = copyRefinerModel("lcm");
    writeFileSync(join(folder, "generation_config.json"), JSON.stringify(defaults));
    await expect(readModelFolder(folder)).rejects.toMatchObject({
      code: "MODEL_INVALID",
      message: expect.stringMatching(/generation_config\.json: .* refiner/),
    });
  });

  it("may be wanted by a model that has a refiner, and set to nothing by one that has none", async () => {
    folder = copyRefinerModel("handover");
    const config = join(folder, "generation_config.json");
    writeFileSync(config, '{"denoising_end": 0.5, "aesthetic_score": 7}');
    expect(await readModelFolder(folder)).toMatchObject({ path: folder });
    rmSync(join(folder, "refiner"), { recursive: true });
    writeFileSync(config, '{"denoising_end": 1, "aesthetic_score": null}');
    expect(await readModelFolder(folder)).toMatchObject({ refiner: undefined });
  });

  it("is named when the folder of the refiner lacks a file, or the base paints into pictures", async () => {
    folder = copyRefinerModel("lcm");
    mkdirSync(join(folder, "refiner"));
    await expect(readModelFolder(folder)).rejects.toMatchObject({
      code: "MODEL_NOT_FOUND",
      message: expect.stringContaining("refiner/model_index.json"),
    });
    rmSync(join(folder, "refiner"), { recursive: true });
    symlinkSync("../refiner-that-is-gone", join(folder, "refiner"));
    await expect(readModelFolder(folder)).rejects.toMatchObject({ code: "MODEL_NOT_FOUND" });
    rmSync(folder, { recursive: true });
    folder = copyRefinerModel("handover");
    patchJson(join(folder, "unet/config.json"), { in_channels: 9 });
    await expect(readModelFolder(folder)).rejects.toMatchObject({
      message: expect.stringContaining("hands over to no refiner"),
    });
  });
});
