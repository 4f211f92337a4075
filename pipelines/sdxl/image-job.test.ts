import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { checkDrawsFromText, imageParameters, imageSeeds } from "./image-job.ts";

const job = (config: Record<string, unknown> = {}, metadata: Record<string, unknown> = {}) => ({
  prompt: "a lighthouse at dawn",
  config,
  metadata,
});

describe("checkDrawsFromText", () => {
  it.each([
    ["config.pipeline", job({ pipeline: "img2img" })],
    ["config.image", job({ image: "https://example.com/a.png" })],
    ["config.mask_image_url", job({ mask_image_url: "user/mask.png" })],
    ["config.reference_image_url", job({ reference_image_url: "user/a.png" })],
    ["metadata.reference_image_url", job({}, { reference_image_url: "user/a.png" })],
  ])("refuses a job with %s", (field, refused) => {
    expect(() => checkDrawsFromText(refused)).toThrow(
      `this pipeline draws from text only: the job must not have ${field}`,
    );
  });

  it.each([
    ["a denoise_strength alone", job({ denoise_strength: 0.5 }, { denoise_strength: 0.5, reference_strength: 0.4 })],
    ["the pipeline txt2img", job({ pipeline: "txt2img" })],
    ["a reference that txt2img says is not meant", job({ pipeline: "txt2img" }, { reference_image_url: "user/a.png" })],
    ["null and empty addresses", job({ image: null, mask_image_url: "" }, { reference_image_url: null })],
  ])("lets %s through", (_, allowed) => {
    expect(() => checkDrawsFromText(allowed)).not.toThrow();
  });
});

describe("imageParameters", () => {
  const required = { num_inference_steps: 15, guidance_scale: 6 };

  it("has the system's defaults, and none for steps and guidance", () => {
    expect(imageParameters.parse(required)).toEqual({ ...required, width: 1024, height: 1024, num_images: 1 });
    expect(imageParameters.safeParse({}).error?.issues.map(({ path }) => path.join("."))).toEqual([
      "num_inference_steps",
      "guidance_scale",
    ]);
  });

  it("accepts the ends of every range", () => {
    for (const ends of [
      { width: 64, height: 2048, num_inference_steps: 1, guidance_scale: 0, num_images: 1, seed: 0, clip_skip: 0 },
      { width: 2048, height: 64, num_inference_steps: 150, guidance_scale: 30, num_images: 6, seed: 2 ** 53 },
    ]) {
      expect(imageParameters.safeParse(ends).success).toBe(true);
    }
  });

  it.each([
    { width: 100 },
    { height: 2056 },
    { num_inference_steps: 0 },
    { guidance_scale: 30.5 },
    { num_images: 7 },
    { seed: -1 },
    { seed: 1.5 },
    { guidance_rescale: 2 },
  ])("refuses %o", (bad) => {
    expect(imageParameters.safeParse({ ...required, ...bad }).success).toBe(false);
  });
});

describe("imageSeeds", () => {
  it("counts up from the seed, 0 included", () => {
    expect(imageSeeds({ seed: 0, num_images: 3 })).toEqual([0, 1, 2]);
  });

  it("draws a seed below 2^32 when there is none", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 6 }), (count) => {
        const seeds = imageSeeds({ num_images: count });
        expect(seeds).toHaveLength(count);
        expect(seeds[0]).toBeLessThan(2 ** 32);
        expect(seeds).toEqual(seeds.map((_, index) => (seeds[0] ?? 0) + index));
      }),
    );
    expect(imageSeeds({ num_images: 1 })).not.toEqual(imageSeeds({ num_images: 1 }));
  });

  it("refuses seeds that numbers cannot tell apart", () => {
    expect(imageSeeds({ seed: 2 ** 53, num_images: 1 })).toEqual([2 ** 53]);
    expect(() => imageSeeds({ seed: 2 ** 53, num_images: 3 })).toThrow("seed must be at most 2^53 − 2 for 3 images");
  });
});
