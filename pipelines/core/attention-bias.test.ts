import { readFileSync } from "node:fs";
import { afterEach, describe, expect, it } from "vitest";
import { tinySdxl } from "#pipelines/testing/tiny-sdxl.ts";
import { attentionBiasName, withAttentionBias } from "./attention-bias.ts";
import { Component } from "./onnx.ts";
import { contentField } from "./protobuf.ts";

const path = `${tinySdxl}/text_encoder/model.onnx`;
const file = readFileSync(path);
const loaded: Component[] = [];

async function load(bytes?: Uint8Array): Promise<Component> {
  const component = await Component.load(path, { executionProvider: "cpu" }, bytes && { bytes });
  loaded.push(component);
  return component;
}
afterEach(() => Promise.all(loaded.splice(0).map((component) => component.dispose())));

const ids = { data: Int32Array.from({ length: 77 }, (_, index) => (index * 7) % 90), dims: [1, 77] };
const biasOf = (hiddenAt: readonly number[]) => ({
  data: Float32Array.from({ length: 77 }, (_, index) => (hiddenAt.includes(index) ? -1e4 : 0)),
  dims: [1, 1, 77],
});
const output = "hidden_states.3";

describe("withAttentionBias", () => {
  it("changes nothing where the bias is 0, for any number of chunks", async () => {
    const [plain, biased] = [await load(), await load(withAttentionBias(file, "float32"))];
    const { data: expected } = (await plain.run({ input_ids: ids }, [output]))[output];
    const { data } = (await biased.run({ input_ids: ids, [attentionBiasName]: biasOf([]) }, [output]))[output];
    expect(data).toEqual(expected);
    const two = { data: Int32Array.from([...ids.data, ...ids.data]), dims: [2, 77] };
    const both = (await biased.run({ input_ids: two, [attentionBiasName]: biasOf([]) }, [output]))[output];
    expect(both.data.subarray(0, expected.length)).toEqual(expected);
  });

  it("hides tokens: what they are makes no difference to any other", async () => {
    const biased = await load(withAttentionBias(file, "float32"));
    const run = async (token: number) => {
      const data = ids.data.slice();
      data[5] = token;
      const feeds = { input_ids: { data, dims: [1, 77] }, [attentionBiasName]: biasOf([5]) };
      const states = (await biased.run(feeds, [output]))[output];
      const width = states.data.length / 77;
      return states.data.filter((_, index) => Math.floor(index / width) !== 5);
    };
    expect(await run(11)).toEqual(await run(12));
  });

  it("finds nothing in a graph without softmax", () => {
    const node = contentField(1, [contentField(1, "a"), contentField(2, "b"), contentField(4, "Relu")]);
    expect(withAttentionBias(contentField(7, [node]), "float32")).toBeUndefined();
    expect(() => withAttentionBias(Uint8Array.of(7, 7, 7), "float32")).toThrow(RangeError);
  });
});
