import { cpSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, describe, expect, it } from "vitest";
import { readGraphPorts } from "#pipelines/core/graph-ports.ts";
import { patchJson } from "#pipelines/testing/tiny-sdxl.ts";
import { readModelFolder } from "./model-folder.ts";
import { copyWithConditions } from "./testing/control-cases.ts";
import { copyRefinerModel } from "./testing/refiner-cases.ts";

const folders: string[] = [];
afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true });
});
const kept = (folder: string) => {
  folders.push(folder);
  return folder;
};

const invalid = (message: RegExp) => ({
  code: "MODEL_INVALID",
  permanent: true,
  message: expect.stringMatching(message),
});

it("reads what a graph takes and gives, with the sizes that it states", async () => {
  const folder = kept(copyRefinerModel("lcm"));
  const ports = await readGraphPorts(join(folder, "unet/model.onnx"));
  expect([...(ports?.inputs.keys() ?? [])]).toEqual([
    "sample",
    "timestep",
    "encoder_hidden_states",
    "text_embeds",
    "time_ids",
    "timestep_cond",
  ]);
  expect(ports?.inputs.get("sample")).toEqual([null, 4, null, null]);
  expect(ports?.inputs.get("timestep")).toEqual([]);
  expect(ports?.inputs.get("timestep_cond")).toEqual([null, 10]);
  expect([...(ports?.outputs ?? [])]).toEqual([["out_sample", [null, 4, null, null]]]);
  expect(await readGraphPorts(join(folder, "unet/config.json"))).toBeUndefined();
  expect(await readGraphPorts(join(folder, "nothing.onnx"))).toBeUndefined();
});

describe("a part that is another ONNX file", () => {
  it.each<[string, string, RegExp]>([
    [
      "unet",
      "controlnet_canny",
      /controlnet_canny\/model\.onnx: it is not a ControlNet: there is no input controlnet_cond/,
    ],
    ["text_encoder", "image_encoder", /image_encoder\/model\.onnx: .*there is no input pixel_values/],
    ["vae_decoder", "unet", /unet\/model\.onnx: it is not a UNet of Stable Diffusion XL: there is no input sample/],
    ["vae_encoder", "vae_decoder_tiny", /vae_decoder_tiny\/model\.onnx: its input sample has the size 3, but .* is 4/],
    ["image_encoder", "depth_estimator", /depth_estimator\/model\.onnx: .*there is no output predicted_depth/],
  ])("is named: %s as %s", async (source, part, message) => {
    const folder = kept(copyWithConditions("base"));
    const fixture = (path: string) => fileURLToPath(new URL(`fixtures/${path}`, import.meta.url));
    cpSync(fixture("tiny-decoder/vae_decoder_tiny"), join(folder, "vae_decoder_tiny"), { recursive: true });
    const processor = join(folder, "depth_estimator/preprocessor_config.json");
    cpSync(join(folder, "image_encoder/model.onnx"), join(folder, "depth_estimator/model.onnx"));
    cpSync(join(folder, "feature_extractor/preprocessor_config.json"), processor);
    patchJson(processor, { size: 28 });
    cpSync(join(folder, source, "model.onnx"), join(folder, part, "model.onnx"));
    if (part !== "depth_estimator") rmSync(join(folder, "depth_estimator"), { recursive: true });
    await expect(readModelFolder(folder)).rejects.toMatchObject(invalid(message));
  });

  it("is named where it is an image encoder for another adapter", async () => {
    const folder = kept(copyWithConditions("base"));
    const other = kept(copyWithConditions("plus"));
    const file = "image_encoder/model.onnx";
    cpSync(join(other, file), join(folder, file));
    await expect(readModelFolder(folder)).rejects.toMatchObject(
      invalid(
        /image_encoder\/model\.onnx: the UNet's IP-Adapter reads something else than its output hidden_states\.1/,
      ),
    );
  });
});

describe("a UNet's embedding of the guidance scale", () => {
  it.each<["lcm" | "handover", number | null, RegExp]>([
    ["lcm", null, /unet\/config\.json: model\.onnx has the input timestep_cond, but time_cond_proj_dim is not set/],
    ["handover", 10, /unet\/config\.json: time_cond_proj_dim is 10, but model\.onnx has no input timestep_cond/],
    ["lcm", 64, /unet\/model\.onnx: its input timestep_cond has the size 10, but time_cond_proj_dim .* is 64/],
  ])("is that of its config: %s with %j", async (model, width, message) => {
    const folder = kept(copyRefinerModel(model));
    patchJson(join(folder, "unet/config.json"), { time_cond_proj_dim: width });
    await expect(readModelFolder(folder)).rejects.toMatchObject(invalid(message));
  });

  it("fits as it was exported, and so does a refiner", async () => {
    expect(await readModelFolder(kept(copyRefinerModel("lcm")))).toMatchObject({ base: { guidanceWidth: 10 } });
    expect(await readModelFolder(kept(copyRefinerModel("handover")))).toMatchObject({
      refiner: { takesAestheticScore: true },
    });
    expect(await readModelFolder(kept(copyWithConditions("plus")))).toMatchObject({ controlNets: [] });
  });
});
