import { afterAll, beforeAll, expect, it } from "vitest";
import { Component } from "#pipelines/core/onnx.ts";
import { CachedDecoder } from "./cached-decoder.ts";
import type { TokenCache } from "./token-cache.ts";

const ids = Array.from({ length: 45 }, (_, index) => 20 + ((index * 7) % 60));

/** By name: with the new tokens' keys and values apart, and as other exporters write it. */
const decoders = new Map<string, CachedDecoder>();
const components: Component[] = [];

beforeAll(async () => {
  for (const name of ["tiny-llama", "tiny-gemma", "tiny-qwen2"]) {
    const path = new URL(`fixtures/${name}/onnx/model.onnx`, import.meta.url).pathname;
    const component = await Component.load(path, { executionProvider: "cpu", intraOpThreads: 1 });
    components.push(component);
    decoders.set(name, new CachedDecoder(component, 512));
  }
});
afterAll(() => Promise.all(components.map((component) => component.dispose())));

function decoderOf(name: string): CachedDecoder {
  return decoders.get(name) ?? expect.fail(`no decoder ${name}`);
}

/** The scores after each of the tokens, read one by one. */
async function oneByOne(decoder: CachedDecoder, cache: TokenCache, before?: () => void): Promise<Float32Array[]> {
  const scores: Float32Array[] = [];
  for (const id of ids) {
    before?.();
    scores.push(await decoder.read(Int32Array.of(id), cache));
  }
  return scores;
}

it.each([
  ["tiny-llama", 64],
  ["tiny-gemma", 64],
  ["tiny-qwen2", 45],
])("reads tokens one by one as all at once (%s)", async (name, places) => {
  const decoder = decoderOf(name);
  const cache = decoder.start();
  const last = (await oneByOne(decoder, cache)).at(-1) ?? [];
  expect([cache.length, cache.places]).toEqual([ids.length, places]);
  const whole = await decoder.read(Int32Array.from(ids), decoder.start());
  expect(whole.length).toBe(last.length);
  expect(Math.max(...whole.map((score, token) => Math.abs(score - (last[token] ?? Number.NaN))))).toBeLessThan(1e-4);
});

it("never looks at places that no token has yet", async () => {
  const decoder = decoderOf("tiny-llama");
  const expected = await oneByOne(decoder, decoder.start());
  const cache = decoder.start();
  const spoilt = await oneByOne(decoder, cache, () => {
    for (const { numbers, dims } of Object.values(cache.values)) {
      const [, heads = 0, places = 0, width = 0] = dims;
      for (let head = 0; head < heads; head++)
        numbers.fill(50, (head * places + cache.length) * width, (head + 1) * places * width);
    }
  });
  expect(spoilt).toEqual(expected);
});

it("gives its memory back", async () => {
  const decoder = decoderOf("tiny-llama");
  const cache = decoder.start();
  await decoder.read(Int32Array.from(ids), cache);
  expect(Object.values(cache.values).every(({ numbers }) => numbers.length > 0)).toBe(true);
  cache.release();
  expect(Object.values(cache.values).every(({ numbers }) => numbers.length === 0)).toBe(true);
});
