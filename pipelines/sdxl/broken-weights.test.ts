import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { putNan } from "#pipelines/testing/break-weights.ts";
import { copyTinySdxl } from "#pipelines/testing/tiny-sdxl.ts";
import { SdxlPipeline } from "./pipeline.ts";
import type { SdxlRequest } from "./request.ts";

const text: SdxlRequest = {
  prompt: "a mountain lake at sunrise",
  width: 64,
  height: 64,
  numInferenceSteps: 3,
  guidanceScale: 6,
  seeds: [7],
};
const image = { data: new Uint8ClampedArray(64 * 64 * 3).fill(90), width: 64, height: 64 };
const begun: SdxlRequest = { ...text, reference: { image, strength: 0.7 } };

it.each([
  ["text_encoder", "model.encoder.layers.0.mlp.fc1.bias", text, "the prompt as text_encoder/model.onnx encodes it"],
  [
    "text_encoder_2",
    "model.text_model.encoder.layers.0.mlp.fc1.bias",
    text,
    "the prompt as text_encoder_2/model.onnx encodes it, before the first step",
  ],
  ["unet", "model.conv_out.bias", text, "the model's prediction in step 1 of 3"],
  ["unet", "model.conv_out.bias", begun, "the model's prediction in step 1 of 2"],
  ["vae_encoder", "vae.quant_conv.bias", begun, "the encoded reference picture"],
  ["vae_decoder", "vae.decoder.conv_out.bias", text, "the decoded image"],
] as const)("a model whose %s yields NaN draws no black picture (%s)", async (component, weights, request, where) => {
  const folder = copyTinySdxl();
  putNan(join(folder, component, "model.onnx"), weights);
  const pipeline = await SdxlPipeline.load(folder, { executionProvider: "cpu" });
  try {
    await expect(pipeline.generate(request)).rejects.toMatchObject({
      code: "NUMERICAL_ERROR",
      permanent: false,
      message: expect.stringContaining(`NaN or infinity in ${where}`),
    });
  } finally {
    await pipeline.dispose();
    rmSync(folder, { recursive: true });
  }
});

/** The same file with another name, of the same length, for some outputs. */
function rename(file: string, from: string, to: string): void {
  const model = readFileSync(file, "latin1");
  expect(model).toContain(from);
  writeFileSync(file, model.replaceAll(from, to), "latin1");
}

it.each([
  ["text_encoder", "hidden_states.", "others_states.", "there are no hidden_states outputs"],
  ["text_encoder_2", "text_embeds", "text_output", "there is no text_embeds output"],
])("says which output a model's %s lacks", async (component, from, to, problem) => {
  const folder = copyTinySdxl();
  rename(join(folder, component, "model.onnx"), from, to);
  const pipeline = await SdxlPipeline.load(folder, { executionProvider: "cpu" });
  try {
    const message = expect.stringMatching(new RegExp(`${component}/model.onnx.*${problem}`));
    await expect(pipeline.generate(text)).rejects.toMatchObject({ code: "MODEL_INVALID", message });
  } finally {
    await pipeline.dispose();
    rmSync(folder, { recursive: true });
  }
});
