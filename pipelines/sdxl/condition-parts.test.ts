import { cpSync, rmSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { patchJson } from "#pipelines/testing/tiny-sdxl.ts";
import { readModelFolder } from "./model-folder.ts";
import { copyWithConditions } from "./testing/control-cases.ts";

let folder: string;
beforeEach(() => {
  folder = copyWithConditions("base");
});
afterEach(() => rmSync(folder, { recursive: true }));

const invalid = (file: string, message: string) => ({
  code: "MODEL_INVALID",
  message: expect.stringMatching(new RegExp(`${file}.*${message}`, "s")),
});

it("knows a model's ControlNets by the names of their folders, and its image encoder", async () => {
  cpSync(join(folder, "controlnet_canny"), join(folder, "controlnet"), { recursive: true });
  const { controlNets, imageProcessor, depthProcessor } = await readModelFolder(folder);
  expect(controlNets).toEqual(["controlnet", "canny"]);
  expect(imageProcessor).toMatchObject({ size: 28, crop_size: 28 });
  expect(depthProcessor).toBeUndefined();
});

it.each<[string, Record<string, unknown>, string]>([
  ["controlnet_canny", { cross_attention_dim: 63 }, "cross_attention_dim is 63, but the UNet's is 64"],
  [
    "controlnet_canny",
    { block_out_channels: [8, 16] },
    "block_out_channels is \\[8,16\\], but the UNet's is \\[8,8\\]",
  ],
  ["controlnet_canny", { in_channels: 5 }, "in_channels is 5, but the VAE's latent_channels is 4"],
  ["controlnet_canny", { _class_name: "ControlNetUnionModel" }, "only ControlNetModel is run"],
  [
    "unet",
    { controlnet_residuals: false },
    "there is a ControlNet \\(controlnet_canny/\\), but the UNet was exported without",
  ],
  ["image_encoder", { image_size: 56 }, "size 28 and crop_size 28 must fit the image encoder's image_size 56"],
])("refuses a folder whose %s says %j", async (part, patch, message) => {
  patchJson(join(folder, part, "config.json"), patch);
  const file = part === "image_encoder" ? "feature_extractor/preprocessor_config.json" : `${part}/config.json`;
  await expect(readModelFolder(folder)).rejects.toMatchObject(invalid(file, message));
});

it("refuses an image encoder without an adapter, and an adapter without its encoder", async () => {
  patchJson(join(folder, "unet/config.json"), { encoder_hid_dim_type: null });
  await expect(readModelFolder(folder)).rejects.toMatchObject(
    invalid("image_encoder/config.json", "the UNet was exported without an IP-Adapter"),
  );
  patchJson(join(folder, "unet/config.json"), { encoder_hid_dim_type: "ip_image_proj" });
  rmSync(join(folder, "image_encoder"), { recursive: true });
  await expect(readModelFolder(folder)).rejects.toMatchObject(
    invalid("unet/config.json", "there is no image_encoder/"),
  );
});

it.each([
  ["depth_estimator", { size: {} }, "must be a whole number of pixels, or a height and a width"],
  ["feature_extractor", { crop_size: "28" }, "must be a whole number of pixels, or a height and a width"],
  ["feature_extractor", { size: {} }, "must be a whole number of pixels, or a shortest_edge"],
])("says in words what the size of %s has to be: not %j", async (part, patch, message) => {
  cpSync(join(folder, "image_encoder"), join(folder, "depth_estimator"), { recursive: true });
  const name = "preprocessor_config.json";
  cpSync(join(folder, "feature_extractor", name), join(folder, "depth_estimator", name));
  patchJson(join(folder, part, name), patch);
  await expect(readModelFolder(folder)).rejects.toMatchObject(invalid(name, message));
});
