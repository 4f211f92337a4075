import { describe, expect, it } from "vitest";
import { maskOf } from "#pipelines/images/mask.ts";
import type { ImageJob, ImageParameters, ReferenceType } from "./image-job.ts";
import { type DrawingModel, planPictures } from "./picture-plan.ts";
import { isStrengthOverruled, referencePlanOf } from "./reference-plan.ts";
import { maskPictureOf, pictureOf } from "./testing/picture-cases.ts";

const picture = pictureOf(64, 64);
const depths = { data: new Uint8ClampedArray(3 * 64 * 64).fill(7), width: 64, height: 64 };
const parameters = { width: 64, height: 64, num_inference_steps: 3, guidance_scale: 5, num_images: 1 };

const processor = { size: 28, crop_size: 28, resample: 3 as const, image_mean: [0, 0, 0], image_std: [1, 1, 1] };
const depthProcessor = {
  size: { width: 28, height: 28 },
  keep_aspect_ratio: false,
  ensure_multiple_of: 1,
  resample: 3 as const,
  image_mean: [0, 0, 0],
  image_std: [1, 1, 1],
};

const model = (parts: Partial<DrawingModel["model"]> = {}): DrawingModel => ({
  model: { path: "models/sdxl", controlNets: [], imageProcessor: undefined, depthProcessor: undefined, ...parts },
  estimateDepth: async () => depths,
});

const full = model({ controlNets: ["depth", "canny", "openpose"], imageProcessor: processor, depthProcessor });

function plan(
  type: ReferenceType | undefined,
  drawing: DrawingModel,
  more: Partial<ImageParameters> & {
    readonly config?: ImageJob["config"];
    readonly masked?: boolean;
    readonly isOfModel?: boolean;
  } = {},
) {
  const { config, masked, isOfModel, ...given } = more;
  const mask = masked === true ? maskOf(maskPictureOf(64, 64)) : undefined;
  const reference = {
    picture,
    image: picture,
    mask,
    plan: {
      url: "a.png",
      maskUrl: undefined,
      type,
      isCopy: false,
      strength: given.denoise_strength,
      ownStrength: isOfModel === true ? undefined : given.denoise_strength,
      strengthField: "denoise_strength",
      fit: "cover" as const,
      background: undefined,
    },
  };
  const pictures = { reference, control: undefined, imagePrompt: undefined };
  return planPictures(drawing, { prompt: "a lake", config }, { ...parameters, ...given }, pictures);
}

describe("a reference", () => {
  it.each(["style", "character"] as const)("for its %s stands beside the prompt", async (type) => {
    const { way, reference, imagePrompt } = await plan(type, full);
    expect([way, reference, imagePrompt?.scale]).toEqual(["ip_adapter", undefined, 0.6]);
    expect((await plan(type, full, { denoise_strength: 0.2 })).imagePrompt?.scale).toBe(0.8);
    expect((await plan(type, full, { denoise_strength: 0.2, ip_adapter_scale: 0.3 })).imagePrompt?.scale).toBe(0.3);
  });

  it("for its composition goes through a ControlNet: its edges, or its depths", async () => {
    const { way, reference, control } = await plan("composition", full);
    expect([way, reference, control?.name, control?.scale]).toEqual(["controlnet", undefined, "canny", 1]);
    expect(control?.picture.data.some((value) => value === 255)).toBe(true);
    expect((await plan("composition", full, { denoise_strength: 0.7 })).control?.scale).toBe(0.3);
    const far = await plan("composition", full, { config: { control_type: "depth" }, control_guidance_end: 0.5 });
    expect(far.control).toMatchObject({ name: "depth", picture: depths, start: 0, end: 0.5 });
    const only = await plan("composition", model({ controlNets: ["depth"], depthProcessor }));
    expect(only.control?.name).toBe("depth");
  });

  it.each([
    ["style", model({ controlNets: ["canny"] })],
    ["character", model()],
    ["composition", model({ imageProcessor: processor })],
    // Nothing here estimates depths, or finds poses.
    ["composition", model({ controlNets: ["depth", "openpose"] })],
    [undefined, full],
  ] as const)("for its %s is begun with where the model has nothing for it", async (type, drawing) => {
    const { way, reference, control, imagePrompt } = await plan(type, drawing);
    expect([way, reference?.image, control, imagePrompt]).toEqual(["img2img", picture, undefined, undefined]);
  });

  it("counts as without a strength where only the model has one, which is for what is begun with", async () => {
    const ofModel = { denoise_strength: 0.3, isOfModel: true };
    expect((await plan("style", full, ofModel)).imagePrompt?.scale).toBe(0.6);
    expect((await plan("composition", full, ofModel)).control?.scale).toBe(1);
    expect((await plan("character", model(), ofModel)).reference?.strength).toBe(0.3);
  });

  it("has a strength of its own where the job gives one, and its model's where it does not", () => {
    const metadata = { reference_image_url: "a.png" };
    const strengthsOf = (config: ImageJob["config"]) => {
      const found = referencePlanOf({ prompt: "", config, metadata }, { ...parameters, denoise_strength: 0.3 });
      return [found?.strength, found?.ownStrength];
    };
    expect(strengthsOf({ denoise_strength: "0.3" })).toEqual([0.3, 0.3]);
    expect(strengthsOf({})).toEqual([0.3, undefined]);
    expect(strengthsOf({ denoise_strength: null })).toEqual([0.3, undefined]);
  });

  it.each([
    [{ reference_strength: 0.7 }, "metadata.reference_strength"],
    [{ reference_strength: 0.2 }, "denoise_strength"],
    [{ reference_strength: 0.7, denoise_strength: 0.3 }, "metadata.denoise_strength"],
    [{ reference_strength: 0.7, denoise_strength: 0.9 }, "denoise_strength"],
    [{}, "denoise_strength"],
  ])("whose strength is 0.3 with %j had it as %s", (metadata, field) => {
    const job = {
      prompt: "",
      config: { denoise_strength: 0.3 },
      metadata: { reference_image_url: "a.png", ...metadata },
    };
    expect(referencePlanOf(job, { ...parameters, denoise_strength: 0.3 })?.strengthField).toBe(field);
  });

  it("has a strength that plays no part where a scale says how much counts, and nothing is begun with", () => {
    const scales = { ...parameters, ip_adapter_scale: 0.3 };
    const own = { ownStrength: 0.4 };
    expect(isStrengthOverruled(own, "ip_adapter", false, scales)).toBe(true);
    expect(isStrengthOverruled(own, "ip_adapter", true, scales)).toBe(false);
    expect(isStrengthOverruled(own, "ip_adapter", false, parameters)).toBe(false);
    expect(isStrengthOverruled(own, "controlnet", false, scales)).toBe(false);
    expect(isStrengthOverruled({ ownStrength: undefined }, "ip_adapter", false, scales)).toBe(false);
    expect(isStrengthOverruled(own, "controlnet", false, { ...parameters, controlnet_conditioning_scale: 1 })).toBe(
      true,
    );
  });

  it("with a mask is begun with as well", async () => {
    const { way, reference, imagePrompt } = await plan("style", full, { masked: true, denoise_strength: 0.9 });
    expect([way, reference?.strength, imagePrompt?.scale]).toEqual(["ip_adapter", 0.9, 0.6]);
    expect(reference?.mask).toBeDefined();
  });

  it("fails where the job names a ControlNet that no picture can be made for", async () => {
    const named = (control_type: string) => ({ config: { control_type } });
    await expect(plan("composition", full, named("openpose"))).rejects.toMatchObject({
      code: "UNSUPPORTED_OPTION",
      message: expect.stringContaining("of the type openpose are not made of a reference, only canny and depth"),
    });
    await expect(plan("composition", model({ controlNets: ["canny"] }), named("depth"))).rejects.toMatchObject({
      code: "UNSUPPORTED_OPTION",
      message: expect.stringContaining("has no ControlNet for depth; of those it has: canny"),
    });
    const flat = model({ controlNets: ["depth"] });
    await expect(plan("composition", flat, named("depth"))).rejects.toMatchObject({
      message: expect.stringContaining("has no depth_estimator/"),
    });
  });
});

describe("a control picture", () => {
  const given = (drawing: DrawingModel, control_type?: string, more: Partial<ImageParameters> = {}) =>
    planPictures(
      drawing,
      { prompt: "a lake", config: { control_type, guess_mode: true } },
      { ...parameters, ...more },
      { reference: undefined, control: picture, imagePrompt: picture },
    );

  it("is for the model's only ControlNet, or the one that the job names", async () => {
    const { way, control, imagePrompt } = await given(model({ controlNets: ["openpose"] }), undefined, {
      ip_adapter_scale: 0.9,
    });
    expect(way).toBeUndefined();
    expect(control).toEqual({ name: "openpose", picture, scale: 1, start: 0, end: 1, guessMode: true });
    expect(imagePrompt).toEqual({ picture, scale: 0.9 });
    expect((await given(full, "depth", { controlnet_conditioning_scale: 0.4 })).control).toMatchObject({
      name: "depth",
      scale: 0.4,
    });
  });

  it("fails where that is not to be known", async () => {
    await expect(given(full)).rejects.toMatchObject({
      code: "UNSUPPORTED_OPTION",
      message: expect.stringContaining(
        "say in config.control_type which the control picture is for (depth, canny, openpose)",
      ),
    });
    await expect(given(model())).rejects.toMatchObject({ message: expect.stringContaining("has no ControlNet") });
  });
});
