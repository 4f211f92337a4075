import { randomBytes } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { onnxBytes } from "#runtime/check/models/testing/onnx-bytes.ts";

const fixture = fileURLToPath(new URL("../../pipelines/sdxl/fixtures/random-sdxl", import.meta.url));

/** A small Stable Diffusion XL in ONNX that loads and draws: the files that a worker loads, by path. */
export async function smallSdxl(): Promise<Record<string, Uint8Array>> {
  const entries = await readdir(fixture, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile() && entry.name !== "README.md");
  const read = files.map(async ({ parentPath, name }) => {
    const path = join(parentPath, name);
    return [path.slice(fixture.length + 1), await readFile(path)] as const;
  });
  return Object.fromEntries(await Promise.all(read));
}

/** The same with the UNet's weights in a file of their own, of a given size: it cannot be run, but is whole. */
export async function sdxlWithWeights(weightBytes: number): Promise<Record<string, Uint8Array>> {
  const external = { location: "model.onnx_data", offset: 0, length: weightBytes };
  return {
    ...(await smallSdxl()),
    "unet/model.onnx": onnxBytes([{ name: "weights", count: weightBytes / 4, external }]),
    "unet/model.onnx_data": randomBytes(weightBytes),
  };
}

/** What published repositories hold beside that: no worker loads any of it. */
export function otherFiles(): Record<string, Uint8Array> {
  const paths = [
    ...[".gitattributes", "README.md", "LICENSE.md", "01.png", "sd_xl_base_1.0.safetensors"],
    ...["text_encoder/model.safetensors", "text_encoder/model.fp16.safetensors", "text_encoder/flax_model.msgpack"],
    ...["text_encoder/openvino_model.bin", "text_encoder/openvino_model.xml", "text_encoder_2/model_fp16.onnx"],
    ...["unet/diffusion_pytorch_model.safetensors", "unet/diffusion_flax_model.msgpack", "unet/openvino_model.bin"],
    ...["vae/config.json", "vae/diffusion_pytorch_model.safetensors", "vae_1_0/config.json"],
    ...["vae_1_0/diffusion_pytorch_model.safetensors", "onnx/model.onnx", "onnx/model_quantized.onnx"],
  ];
  return Object.fromEntries(paths.map((path) => [path, Buffer.from(`content of ${path}`)]));
}
