import { rmSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { maskOf } from "#pipelines/images/mask.ts";
import { maxDifference, meanDifference } from "#pipelines/testing/compare.ts";
import { copyTinySdxl, shippedSdxl, tinySdxl } from "#pipelines/testing/tiny-sdxl.ts";
import { SdxlPipeline } from "./pipeline.ts";
import type { SdxlRequest } from "./request.ts";
import { copyWithUnet, maskPictureOf, pictureOf } from "./testing/picture-cases.ts";

const request: SdxlRequest = {
  prompt: "a lighthouse at dawn",
  width: 64,
  height: 64,
  numInferenceSteps: 4,
  guidanceScale: 5,
  seeds: [7],
};
const image = pictureOf(64, 64);
const mask = maskOf(maskPictureOf(64, 64));

describe("with the tests' own model", () => {
  let pipeline: SdxlPipeline;
  beforeAll(async () => {
    pipeline = await SdxlPipeline.load(tinySdxl, { executionProvider: "cpu" });
  });
  afterAll(() => pipeline.dispose());

  it("reports the steps that it ran, and as many as its progress has", async () => {
    const totals = new Set<number>();
    const { steps } = await pipeline.generate(
      { ...request, numInferenceSteps: 10, reference: { image, strength: 0.3 } },
      { onProgress: (_step, total) => totals.add(total) },
    );
    expect(steps).toBe(3);
    expect([...totals]).toEqual([3]);
  });

  it("draws the same image alone and in a batch, parts of it included", async () => {
    for (const reference of [
      { image, strength: 0.5 },
      { image, strength: 0.5, mask },
    ]) {
      const batch = await pipeline.generate({ ...request, seeds: [7, 8, 9], reference });
      for (const [index, seed] of [7, 8, 9].entries()) {
        const alone = await pipeline.generate({ ...request, seeds: [seed], reference });
        expect(maxDifference(alone.images[0]?.data ?? [], batch.images[index]?.data ?? [])).toBeLessThanOrEqual(1);
      }
    }
  });

  it("keeps what is outside of the mask to the bit", async () => {
    const { images } = await pipeline.generate({ ...request, reference: { image, strength: 0.8, mask } });
    const drawn = images[0]?.data ?? [];
    // Rows 0 to 8 are more than 8 pixels above the mask, which begins at row 19.
    expect(maxDifference(drawn.slice(0, 64 * 8 * 3), image.data.slice(0, 64 * 8 * 3))).toBe(0);
    const inside = (40 * 64 + 30) * 3;
    expect(meanDifference(drawn.slice(inside, inside + 30), image.data.slice(inside, inside + 30))).toBeGreaterThan(5);
  });

  it("refuses a strength that leaves no step before it encodes anything", async () => {
    const stages: string[] = [];
    const reference = { image, strength: 0.1 };
    const drawing = pipeline.generate({ ...request, reference }, { onStage: ({ name }) => stages.push(name) });
    await expect(drawing).rejects.toMatchObject({ code: "INVALID_JOB" });
    expect(stages).toEqual([]);
  });
});

it("comes closer to the reference the weaker it is", async () => {
  const pipeline = await SdxlPipeline.load(shippedSdxl, { executionProvider: "cpu" });
  try {
    const apple = { ...request, prompt: "a red apple", width: 128, height: 128, guidanceScale: 2 };
    const [start] = (await pipeline.generate({ ...apple, numInferenceSteps: 10 })).images;
    if (start === undefined) throw new Error("no image was drawn");
    const pear = { ...apple, prompt: "a pear", numInferenceSteps: 20 };
    const differences: number[] = [];
    for (const strength of [0.05, 0.4, 1]) {
      const { images } = await pipeline.generate({ ...pear, reference: { image: start, strength } });
      differences.push(meanDifference(images[0]?.data ?? [], start.data));
    }
    expect(differences).toEqual(differences.toSorted((a, b) => a - b));
    expect(differences[0]).toBeLessThan(9);
    expect(differences[2]).toBeGreaterThan(15);
  } finally {
    await pipeline.dispose();
  }
});

it("refuses a reference where the model has no encoder, and lets such a model draw from noise", async () => {
  const folder = copyTinySdxl();
  rmSync(join(folder, "vae_encoder"), { recursive: true });
  const pipeline = await SdxlPipeline.load(folder, { executionProvider: "cpu" });
  try {
    await expect(pipeline.generate({ ...request, reference: { image, strength: 0.5 } })).rejects.toMatchObject({
      code: "UNSUPPORTED_OPTION",
      message: expect.stringContaining("has no vae_encoder/model.onnx"),
    });
    expect((await pipeline.generate(request)).images).toHaveLength(1);
  } finally {
    await pipeline.dispose();
    rmSync(folder, { recursive: true });
  }
});

it("refuses to draw from noise with a model that paints into pictures", async () => {
  const folder = copyWithUnet("random-sdxl-inpainting");
  const pipeline = await SdxlPipeline.load(folder, { executionProvider: "cpu" });
  try {
    for (const reference of [undefined, { image, strength: 0.5 }]) {
      await expect(pipeline.generate({ ...request, reference })).rejects.toMatchObject({
        code: "INVALID_JOB",
        message: "this model paints into pictures only: send a reference picture and config.mask_image_url",
      });
    }
  } finally {
    await pipeline.dispose();
    rmSync(folder, { recursive: true });
  }
});
