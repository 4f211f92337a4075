import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { copyTinySdxl, patchJson } from "#pipelines/testing/tiny-sdxl.ts";
import { readModelFolder } from "./model-folder.ts";
import { SdxlPipeline } from "./pipeline.ts";

let folder: string;
beforeEach(() => {
  folder = copyTinySdxl();
});
afterEach(() => rmSync(folder, { recursive: true }));

describe("readModelFolder", () => {
  it("reads sizes, scales and the scheduler from the configs", async () => {
    expect(await readModelFolder(folder)).toMatchObject({
      path: folder,
      base: { unet: "unet", forceZerosForEmptyPrompt: true, takesAestheticScore: false, guidanceWidth: undefined },
      refiner: undefined,
      vaeScaleFactor: 8,
      latentChannels: 4,
      vae: { scalingFactor: 0.13025, shiftFactor: 0, normalization: undefined },
      scheduler: { className: "EulerDiscreteScheduler" },
    });
  });

  it.each([
    [
      "unet/config.json",
      { cross_attention_dim: 2048 },
      "cross_attention_dim is 2048, but the text encoders' width is 64",
    ],
    ["unet/config.json", { in_channels: 8 }, "in_channels is 8, but the VAE's latent_channels is 4"],
    [
      "text_encoder_2/config.json",
      { projection_dim: 1280 },
      "is 84, but the width of pooled text and size ids is 1328",
    ],
    ["vae_decoder/config.json", { latents_mean: [0], latents_std: [1] }, "length of latents_mean is 1"],
    ["vae_decoder/config.json", { block_out_channels: "8" }, "block_out_channels"],
    ["model_index.json", { _class_name: "FluxPipeline" }, "is a FluxPipeline; this pipeline runs Stable Diffusion XL"],
  ])("says what does not fit in %s", async (file, changes, problem) => {
    patchJson(join(folder, file), changes);
    await expect(readModelFolder(folder)).rejects.toMatchObject({
      code: file === "model_index.json" ? "MODEL_UNSUITABLE" : "MODEL_INVALID",
      permanent: true,
      message: expect.stringContaining(problem),
    });
  });
});

describe("SdxlPipeline.load", () => {
  it.each([
    "model_index.json",
    "scheduler/scheduler_config.json",
    "unet/config.json",
    "unet/model.onnx",
    "vae_decoder/model.onnx",
    "text_encoder_2/model.onnx",
  ])("names %s when it is missing", async (file) => {
    rmSync(join(folder, file));
    await expect(SdxlPipeline.load(folder)).rejects.toMatchObject({
      code: "MODEL_NOT_FOUND",
      permanent: true,
      message: expect.stringContaining(join(folder, file)),
    });
  });

  it("names a folder that is not there", async () => {
    await expect(SdxlPipeline.load("/nowhere/sdxl")).rejects.toThrow("/nowhere/sdxl/model_index.json");
  });

  it("names a corrupt ONNX file", async () => {
    writeFileSync(join(folder, "unet/model.onnx"), "<html>404</html>");
    await expect(SdxlPipeline.load(folder)).rejects.toMatchObject({
      code: "MODEL_INVALID",
      message: expect.stringMatching(/unet\/model\.onnx: ONNX Runtime cannot load the file/),
    });
  });

  it("names a scheduler that is not there", async () => {
    patchJson(join(folder, "scheduler/scheduler_config.json"), { _class_name: "DDPMWuerstchenScheduler" });
    await expect(SdxlPipeline.load(folder)).rejects.toMatchObject({
      code: "MODEL_INVALID",
      message: expect.stringContaining("DDPMWuerstchenScheduler"),
    });
  });
});
