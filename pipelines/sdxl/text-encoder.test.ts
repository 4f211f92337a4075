import { fileURLToPath } from "node:url";
import { afterAll, expect, it } from "vitest";
import { ComponentSet } from "#pipelines/core/component-set.ts";
import { outOfMemory } from "#pipelines/core/errors.ts";
import { Component } from "#pipelines/core/onnx.ts";
import { maxDifference } from "#pipelines/testing/compare.ts";
import { readSafetensors } from "#pipelines/testing/safetensors.ts";
import { tinySdxl } from "#pipelines/testing/tiny-sdxl.ts";
import { ClipTokenizer } from "#pipelines/text/clip-tokenizer.ts";
import { TextEncoder } from "./text-encoder.ts";

const folder = fileURLToPath(new URL("fixtures/half-encoder", import.meta.url));
const file = "text_encoder/model.onnx";
const expected = readSafetensors(new URL("fixtures/half-encoder/expected.safetensors", import.meta.url));
const valuesOf = (name: string) => expected.get(name)?.data ?? new Float32Array();
const ids = { data: Int32Array.from(valuesOf("ids")), dims: [1, 77] };
const mask = Uint8Array.from(valuesOf("mask"));

const sets: ComponentSet[] = [];
afterAll(async () => {
  for (const components of sets) await components.dispose();
});

async function open(components = new ComponentSet(folder, { executionProvider: "cpu" })) {
  sets.push(components);
  return new TextEncoder(await ClipTokenizer.load(`${tinySdxl}/tokenizer`), components, file);
}

/** States are up to 3; a float16 has 11 bits. */
const limit = 0.02;

it("masks tokens in a model that computes in float16 as transformers does", async () => {
  const encoder = await open();
  expect(maxDifference((await encoder.encode(ids, 0)).hidden.data, valuesOf("plain"))).toBeLessThan(limit);
  const masked = await encoder.encodeMasked(ids, 0, mask);
  expect(maxDifference(masked.data, valuesOf("masked"))).toBeLessThan(limit);
  expect(maxDifference(masked.data, valuesOf("plain"))).toBeGreaterThan(10 * limit);
  expect(maxDifference((await encoder.encode(ids, 0)).hidden.data, valuesOf("plain"))).toBeLessThan(limit);
});

it("fails as the loading does when that has nothing to do with the precision, and can be used afterwards", async () => {
  const components = new ComponentSet(folder, { executionProvider: "cpu" });
  const encoder = await open(components);
  let loads = 0;
  const failing = outOfMemory(file, new Error("no room"));
  await components.choose(file, {
    key: "failing",
    load: async (path, settings, rewrite) => {
      loads++;
      if (rewrite !== undefined) throw failing;
      return Component.load(path, settings);
    },
  });
  await expect(encoder.encodeMasked(ids, 0, mask)).rejects.toBe(failing);
  expect(loads).toBe(2);
  expect(maxDifference((await encoder.encode(ids, 0)).hidden.data, valuesOf("plain"))).toBeLessThan(limit);
});
