import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, it, test } from "vitest";
import { z } from "zod";
import { Component } from "#pipelines/core/onnx.ts";
import { maxDifference } from "#pipelines/testing/compare.ts";
import { readSafetensors } from "#pipelines/testing/safetensors.ts";
import { depthPicture, depthPixels, depthProcessorConfig } from "./depth-picture.ts";

const fixtures = new URL("fixtures/", import.meta.url);
const tensors = readSafetensors(new URL("depth.safetensors", fixtures));
const processors = z
  .array(depthProcessorConfig)
  .parse(JSON.parse(readFileSync(new URL("depth.json", fixtures), "utf8")));

let estimator: Component;
beforeAll(async () => {
  estimator = await Component.load(fileURLToPath(new URL("mean.onnx", fixtures)), { executionProvider: "cpu" });
});
afterAll(() => estimator.dispose());

function tensorAt(key: string) {
  const found = tensors.get(key);
  if (found === undefined) throw new RangeError(`depth.safetensors has no ${key}`);
  return found;
}

test.each(processors.map((processor, index) => [index, processor] as const))(
  "picture %i is prepared as transformers does it, and its depths are those of diffusers' examples",
  async (index, processor) => {
    const { data, dims } = tensorAt(`${index}.picture`);
    const [height = 0, width = 0] = dims;
    const picture = { data: Uint8ClampedArray.from(data), width, height };
    const pixels = depthPixels(picture, processor);
    expect(pixels.dims).toEqual(tensorAt(`${index}.pixel_values`).dims);
    expect(maxDifference(pixels.data, tensorAt(`${index}.pixel_values`).data)).toBeLessThan(1e-6);
    const made = await depthPicture(estimator, processor, picture);
    expect([made.width, made.height]).toEqual([width, height]);
    const grey = Array.from(made.data).filter((_, place) => place % 3 === 0);
    expect(maxDifference(grey, tensorAt(`${index}.grey`).data)).toBeLessThanOrEqual(1);
  },
);

it("has no depths where everything is equally far", async () => {
  const plain = { data: new Uint8ClampedArray(3 * 64).fill(90), width: 8, height: 8 };
  const [processor] = processors;
  if (processor === undefined) throw new RangeError("there is no processor");
  expect((await depthPicture(estimator, processor, plain)).data.every((value) => value === 0)).toBe(true);
});
