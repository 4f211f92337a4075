import { cpSync, rmSync, truncateSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { copyImageWan, copyRandomWan, type ImageWan, randomWans } from "#pipelines/testing/random-wan.ts";
import { patchJson, tinySdxl } from "#pipelines/testing/tiny-sdxl.ts";
import { readModelFolder } from "./model-folder.ts";
import { WanPipeline } from "./pipeline.ts";
import { copyVaceModel } from "./testing/vace-cases.ts";

let folder: string;
beforeEach(() => {
  folder = copyRandomWan();
});
afterEach(() => rmSync(folder, { recursive: true }));

const load = () => WanPipeline.load(folder, { executionProvider: "cpu" });

it("reads sizes, scales, stages and the scheduler from the configs", async () => {
  expect(await readModelFolder(folder)).toMatchObject({
    tasks: ["text"],
    patchSize: [1, 2, 2],
    headDim: 16,
    maxTokensPerAxis: 64,
    latentChannels: 16,
    temporalScale: 4,
    spatialScale: 8,
    secondStage: undefined,
    scheduler: { className: "UniPCMultistepScheduler" },
  });
  expect(await readModelFolder(randomWans["random-wan-2"])).toMatchObject({ secondStage: { boundaryTimestep: 875 } });
  expect(await readModelFolder(randomWans["random-wan-other"])).toMatchObject({
    patchSize: [1, 1, 2],
    latentChannels: 12,
    spatialScale: 4,
  });
});

describe("a folder that is none", () => {
  it("is an SDXL", async () => {
    rmSync(folder, { recursive: true });
    cpSync(tinySdxl, folder, { recursive: true });
    await expect(load()).rejects.toMatchObject({
      code: "MODEL_UNSUITABLE",
      message: `${folder}: the model is a StableDiffusionXLPipeline; this pipeline runs WAN (WanPipeline, WanImageToVideoPipeline, WanVACEPipeline)`,
    });
  });

  it.each([
    ["model_index.json", "model_index.json"],
    ["scheduler", "scheduler_config.json"],
    ["text_encoder/config.json", "text_encoder/config.json"],
    ["tokenizer/tokenizer.json", "tokenizer.json"],
    ["transformer/model.onnx", "transformer/model.onnx"],
    ["vae_decoder/next.onnx", "vae_decoder/next.onnx"],
  ])("lacks %s", async (gone, named) => {
    rmSync(join(folder, gone), { recursive: true });
    await expect(load()).rejects.toMatchObject({ code: "MODEL_NOT_FOUND", message: expect.stringContaining(named) });
  });

  it.each([
    ["model_index.json", { boundary_ratio: 2 }, "boundary_ratio"],
    [
      "transformer/config.json",
      { in_channels: 36 },
      "that of a WanImageToVideoPipeline, but model_index.json describes a WanPipeline",
    ],
    [
      "transformer/config.json",
      { in_channels: 20 },
      "reads 20 channels and makes 16: with this VAE it makes 16, and reads 16 (text to video, VACE) or 36",
    ],
    [
      "model_index.json",
      { _class_name: "WanVACEPipeline" },
      "that of a WanPipeline, but model_index.json describes a WanVACEPipeline",
    ],
    ["transformer/config.json", { patch_size: [2, 2, 2] }, "patch_size"],
    ["transformer/config.json", { text_dim: 4096 }, "text_dim is 4096, but the text encoder's d_model is 32"],
    ["vae_decoder/config.json", { z_dim: 48 }, "length of latents_mean is 16, but the number of latent channels is 48"],
    ["scheduler/scheduler_config.json", { num_train_timesteps: "1000" }, "num_train_timesteps"],
    ["scheduler/scheduler_config.json", { _class_name: "StrollScheduler" }, 'unknown scheduler "StrollScheduler"'],
  ])("has %s with %j", async (file, changes, problem) => {
    patchJson(join(folder, file), changes);
    await expect(load()).rejects.toMatchObject({ code: "MODEL_INVALID", message: expect.stringContaining(problem) });
  });

  it("has weights that are cut off", async () => {
    truncateSync(join(folder, "vae_decoder/model.onnx_data"), 1000);
    await expect(load()).rejects.toMatchObject({
      code: "MODEL_INVALID",
      message: expect.stringMatching(
        /vae_decoder\/first\.onnx: ONNX Runtime cannot load the file [\s\S]*export it again/,
      ),
    });
  });

  it("has a second transformer, and does not say when it takes over", async () => {
    rmSync(folder, { recursive: true });
    cpSync(randomWans["random-wan-2"], folder, { recursive: true });
    patchJson(join(folder, "model_index.json"), { boundary_ratio: null });
    await expect(load()).rejects.toMatchObject({
      code: "MODEL_INVALID",
      message: expect.stringContaining("no boundary_ratio that says when it takes over: set it"),
    });
  });

  it("has a second transformer that does not fit the first", async () => {
    rmSync(folder, { recursive: true });
    cpSync(randomWans["random-wan-2"], folder, { recursive: true });
    patchJson(join(folder, "transformer_2/config.json"), { attention_head_dim: 128 });
    await expect(load()).rejects.toMatchObject({
      code: "MODEL_INVALID",
      message: expect.stringContaining("attention_head_dim is 128, but that of the first transformer is 16"),
    });
  });
});

describe("a VACE folder", () => {
  const make = (name: "vace" | "vace-2", file: string, changes: Readonly<Record<string, unknown>>) => {
    rmSync(folder, { recursive: true });
    folder = copyVaceModel(name);
    patchJson(join(folder, file), changes);
  };

  it("follows a control video, and makes clips from text", async () => {
    make("vace-2", "model_index.json", {});
    expect(await readModelFolder(folder)).toMatchObject({
      tasks: ["text", "vace"],
      controlLayers: 1,
      secondStage: { boundaryTimestep: 875 },
      optional: [],
    });
  });

  it.each([
    ["vace", "transformer/config.json", { vace_in_channels: 72 }, "vace_in_channels is 72"],
    ["vace-2", "transformer_2/config.json", { vace_layers: [0, 1] }, "number of vace_layers is 2"],
  ] as const)("is refused: %s has %s with %j", async (name, file, changes, problem) => {
    make(name, file, changes);
    await expect(load()).rejects.toMatchObject({ code: "MODEL_INVALID", message: expect.stringContaining(problem) });
  });
});

describe("an image-to-video folder", () => {
  const use = (name: ImageWan) => {
    rmSync(folder, { recursive: true });
    folder = copyImageWan(name);
  };

  it.each([
    ["i2v", ["first-frame"]],
    ["flf2v", ["first-last-frame"]],
    ["i2v-2", ["first-frame", "first-last-frame"]],
    ["i2v-other", ["first-frame"]],
    ["ti2v", ["text", "first-frame"]],
  ] as const)("says what it does: %s", async (name, tasks) => {
    use(name);
    expect((await readModelFolder(folder)).tasks).toEqual(tasks);
  });

  it.each([
    ["image_encoder/config.json", "takes features of pictures (image_dim 16), but there is no image_encoder/: export"],
    ["image_encoder/model.onnx", "image_encoder/model.onnx"],
    ["image_processor/preprocessor_config.json", "preprocessor_config.json"],
    ["vae_encoder/next.onnx", "vae_encoder/next.onnx"],
  ])("without %s is refused", async (gone, message) => {
    use("i2v");
    rmSync(join(folder, gone));
    const code = gone === "image_encoder/config.json" ? "MODEL_INVALID" : "MODEL_NOT_FOUND";
    await expect(load()).rejects.toMatchObject({ code, message: expect.stringContaining(message) });
  });

  it.each([
    ["image_encoder/config.json", { hidden_size: 32 }, "hidden_size is 32, but the transformer's image_dim is 16"],
    [
      "image_encoder/config.json",
      { patch_size: 7 },
      "number of features of two pictures is 34, but the transformer's pos_embed_seq_len is 10",
    ],
    ["image_processor/preprocessor_config.json", { crop_size: 24 }, "must fit the image encoder's image_size 28"],
    [
      "model_index.json",
      { expand_timesteps: true },
      "says expand_timesteps, and the transformer reads more than its latents",
    ],
    ["transformer/config.json", { in_channels: 32 }, "reads 32 channels and makes 16"],
    [
      "model_index.json",
      { _class_name: "WanPipeline" },
      "that of a WanImageToVideoPipeline, but model_index.json describes a WanPipeline",
    ],
  ])("with %s with %j is refused", async (file, changes, problem) => {
    use("flf2v");
    patchJson(join(folder, file), changes);
    await expect(load()).rejects.toMatchObject({ code: "MODEL_INVALID", message: expect.stringContaining(problem) });
  });

  it("whose transformers read different channels is refused", async () => {
    use("i2v-2");
    patchJson(join(folder, "transformer_2/config.json"), { in_channels: 16 });
    await expect(load()).rejects.toMatchObject({
      code: "MODEL_INVALID",
      message: expect.stringContaining("in_channels is 16, but that of the first transformer is 36"),
    });
  });
});
