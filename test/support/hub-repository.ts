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

const chatFixture = fileURLToPath(new URL("../../pipelines/chat/fixtures/tiny-qwen2", import.meta.url));

/**
 * A small language model as onnx-community lays them out, by path: in float32 it loads and answers; beside that are two
 * precisions, one with its weights in two files of their own, that cannot be run, but are whole.
 */
export async function smallChat(): Promise<Record<string, Uint8Array>> {
  const names = ["config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json"];
  const read = [...names, "chat_template.jinja", "onnx/model.onnx"].map(
    async (name) => [name, await readFile(join(chatFixture, name))] as const,
  );
  const data = {
    "onnx/model_fp16.onnx_data": randomBytes(400_000),
    "onnx/model_fp16.onnx_data_1": randomBytes(80_000),
  };
  const weights = Object.entries(data).map(([path, { byteLength }], index) => {
    const external = { location: path.replace("onnx/", ""), offset: 0, length: byteLength };
    return { name: `weights${index}`, count: byteLength / 4, external };
  });
  return {
    ...Object.fromEntries(await Promise.all(read)),
    "onnx/model_fp16.onnx": onnxBytes(weights),
    ...data,
    "onnx/model_q4.onnx": onnxBytes([{ name: "weights", count: 2000 }]),
  };
}

/** What such repositories hold beside that. */
export function otherChatFiles(): Record<string, Uint8Array> {
  const paths = [".gitattributes", "README.md", "model.safetensors", "vocab.json", "merges.txt", "onnx/README.md"];
  return Object.fromEntries(paths.map((path) => [path, Buffer.from(`content of ${path}`)]));
}
