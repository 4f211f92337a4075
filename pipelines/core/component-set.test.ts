import { afterEach, expect, it } from "vitest";
import { tinySdxl } from "#pipelines/testing/tiny-sdxl.ts";
import { ComponentSet } from "./component-set.ts";

const decoder = "vae_decoder/model.onnx";
const encoder = "vae_encoder/model.onnx";

const components = new ComponentSet(tinySdxl, { executionProvider: "cpu" });
afterEach(() => components.dispose());

const latents = { data: new Float32Array(4 * 8 * 8), dims: [1, 4, 8, 8] };

it("loads a component at its first use, and again after it was freed", async () => {
  expect(components.inMemory).toEqual([]);
  const first = await components.get(decoder);
  expect(await components.get(decoder)).toBe(first);
  await components.get(encoder);
  expect(components.inMemory).toEqual([decoder, encoder]);
  await components.free(decoder);
  await components.free(decoder);
  expect(components.inMemory).toEqual([encoder]);
  await expect(first.run({ latent_sample: latents }, ["sample"])).rejects.toThrow();
  expect(await components.get(decoder)).not.toBe(first);
});

it("keeps count of what freed components have computed", async () => {
  const run = async () => (await components.get(decoder)).run({ latent_sample: latents }, ["sample"]);
  await run();
  const before = components.millisecondsInRun;
  expect(before).toBeGreaterThan(0);
  expect(components.secondsLoading).toBeGreaterThan(0);
  await components.free(decoder);
  expect(components.millisecondsInRun).toBe(before);
  await run();
  expect(components.millisecondsInRun).toBeGreaterThan(before);
});

it("keeps nothing of a file that cannot be loaded", async () => {
  await expect(components.get("unet_2/model.onnx")).rejects.toMatchObject({ code: "MODEL_NOT_FOUND" });
  expect(components.inMemory).toEqual([]);
});
