import {
  copyFileSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join, parse } from "node:path";
import { afterAll, beforeAll, describe, expect, it, onTestFinished, vi } from "vitest";
import { Component } from "#pipelines/core/onnx.ts";
import { maxDifference } from "#pipelines/testing/compare.ts";
import { tinySdxl } from "#pipelines/testing/tiny-sdxl.ts";
import { OpenLoras } from "./merged-graph.ts";
import { OnnxGraph } from "./onnx-graph.ts";
import { writeWithExternalData } from "./testing/external-copy.ts";
import { fixtureLora } from "./testing/lora-fidelity.ts";
import { type WrittenTensor, writeSafetensors } from "./testing/write-safetensors.ts";

const encoderPath = join(tinySdxl, "text_encoder/model.onnx");
const layer = "text_encoder.text_model.encoder.layers.0.self_attn.q_proj";
let folder: string;
let file: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "lora-test-"));
  file = join(folder, "style.safetensors");
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** The text encoder's answer to one fixed chunk of tokens. */
async function encode(component: Component): Promise<Float32Array> {
  const data = Int32Array.from({ length: 77 }, (_, index) => (index === 0 ? 0 : index < 9 ? 40 + index : 2));
  return (await component.run({ input_ids: { data, dims: [1, 77] } }, ["hidden_states.2"]))["hidden_states.2"].data;
}

async function encodeWith(path: string, strength: number, name = "peft"): Promise<Float32Array> {
  const loras = await OpenLoras.open([fixtureLora(name, strength)]);
  const graph = await loras.merge("text_encoder", path);
  const component = await Component.load(path, { executionProvider: "cpu" }, graph);
  await graph.dispose();
  await loras.close();
  const result = await encode(component);
  await component.dispose();
  return result;
}

function matrix(rows: number, columns: number, value = 0.1): WrittenTensor {
  return { dims: [rows, columns], data: new Float32Array(rows * columns).fill(value) };
}

async function refusalOf(tensors: Readonly<Record<string, WrittenTensor>>): Promise<string> {
  writeSafetensors(file, tensors);
  return mergeRefusal();
}

async function mergeRefusal(): Promise<string> {
  const refused = await OpenLoras.open([{ path: file, version: "1", strength: 1 }])
    .then(async (loras) => {
      try {
        for (const component of ["unet", "text_encoder", "text_encoder_2"] as const) {
          if (!loras.changes(component)) continue;
          await (await loras.merge(component, join(tinySdxl, component, "model.onnx"))).dispose();
        }
      } finally {
        await loras.close();
      }
    })
    .then(() => "accepted")
    .catch((error: unknown) => error);
  expect(refused).toMatchObject({ code: "LORA_INVALID", permanent: true });
  expect(String(refused)).toContain(file);
  return String(refused);
}

describe("a model whose weights lie in files of their own", () => {
  it.each(["in the folder", "behind a link"])("gives the same as one that holds them: %s", async (where) => {
    const external = mkdtempSync(join(folder, "external-"));
    const data = join(external, "model.onnx_data");
    const path = join(external, "model.onnx");
    await writeWithExternalData(encoderPath, external);
    if (where === "behind a link") {
      copyFileSync(data, join(folder, "elsewhere"));
      rmSync(data);
      symlinkSync(join(folder, "elsewhere"), data);
    }
    expect((await OnnxGraph.read(path)).isExternal).toBe(true);
    const scratch = mkdtempSync(join(folder, "scratch-"));
    vi.stubEnv("TMPDIR", scratch);
    onTestFinished(() => void vi.unstubAllEnvs());
    const merged = await encodeWith(path, 1);
    expect(merged).toEqual(await encodeWith(encoderPath, 1));
    expect(maxDifference(merged, await encodeWith(encoderPath, 0.5))).toBeGreaterThan(0.01);
    expect(readdirSync(scratch)).toEqual([]);
    expect(parse(external).root).toBe("/");
  });
});

it("leaves the model's file as it is", async () => {
  const before = readFileSync(encoderPath);
  await encodeWith(encoderPath, 1);
  expect(readFileSync(encoderPath).equals(before)).toBe(true);
});

it("multiplies out LoCon's core between the halves", async () => {
  // One kernel of ones times one pair of halves of ones: every value of the layer grows by the rank.
  const conv = "lora_unet_down_blocks_0_resnets_0_conv1";
  writeSafetensors(file, {
    [`${conv}.lora_down.weight`]: { dims: [2, 16, 1, 1], data: new Float32Array(32).fill(1) },
    [`${conv}.lora_mid.weight`]: { dims: [2, 2, 3, 3], data: new Float32Array(36).fill(0.5) },
    [`${conv}.lora_up.weight`]: { dims: [16, 2, 1, 1], data: new Float32Array(32).fill(1) },
    [`${conv}.alpha`]: { dims: [], data: Float32Array.of(1) },
  });
  const path = join(tinySdxl, "unet/model.onnx");
  const loras = await OpenLoras.open([{ path: file, version: "1", strength: 1 }]);
  const merged = join(folder, "merged.onnx");
  writeFileSync(merged, (await loras.merge("unet", path)).bytes);
  await loras.close();
  const [before, after] = [await OnnxGraph.read(path), await OnnxGraph.read(merged)];
  const node = before.layers.get("down_blocks_0_resnets_0_conv1")?.node ?? "";
  const [old, now] = [await before.weights(node), await after.weights(node)];
  // mid · down = 0.5 · 2 for each rank; up · that = 2; alpha / rank = 1 / 2.
  expect(
    maxDifference(
      now.data,
      old.data.map((value) => value + 1),
    ),
  ).toBeLessThan(1e-5);
});

describe("refuses", () => {
  const down = `${layer}.lora_A.weight`;
  const up = `${layer}.lora_B.weight`;

  it.each([
    ["DoRA", { "text_encoder.a.lora_magnitude_vector": matrix(1, 24) }, /it is DoRA \(weight-decomposed\)/],
    ["kohya's DoRA", { "lora_te1_a.dora_scale": matrix(1, 24) }, /it is DoRA/],
    ["LoHa", { "lora_unet_a.hada_w1_a": matrix(2, 24) }, /it is LoHa/],
    ["LoKr", { "lora_unet_a.lokr_w1": matrix(2, 24) }, /it is LoKr/],
    ["a checkpoint", { "model.diffusion_model.out.2.bias": matrix(1, 4) }, /is no tensor of a LoRA/],
    ["half a change", { [down]: matrix(2, 24) }, /only one half of its change/],
    [
      "a layer that is not there",
      { [down.replace("0", "17")]: matrix(2, 24), [up.replace("0", "17")]: matrix(24, 2) },
      /another model: 1 of the 1 layers/,
    ],
    [
      "another width",
      { [down]: matrix(2, 768), [up]: matrix(768, 2) },
      /768 × 768 values, and the model's has 24 × 24.*another model/,
    ],
    ["ranks that differ", { [down]: matrix(3, 24), [up]: matrix(24, 2) }, /made for another model/],
    [
      "one layer twice",
      {
        [down]: matrix(2, 24),
        [up]: matrix(24, 2),
        [down.replaceAll(".", "_").replace("_lora_A_weight", ".lora_A.weight").replace("text_encoder_", "lora_te1_")]:
          matrix(2, 24),
        [up.replaceAll(".", "_").replace("_lora_B_weight", ".lora_B.weight").replace("text_encoder_", "lora_te1_")]:
          matrix(24, 2),
      },
      /changes a layer that another part of it changes already/,
    ],
    [
      "a core that would be multiplied out to gigabytes",
      {
        "lora_unet_conv_in.lora_down.weight": matrix(1, 20_000),
        "lora_unet_conv_in.lora_up.weight": matrix(16, 20_000),
        "lora_unet_conv_in.lora_mid.weight": { dims: [20_000, 1, 1, 1], data: new Float32Array(20_000) },
      },
      /another model/,
    ],
    ["NaN", { [down]: matrix(2, 24, Number.NaN), [up]: matrix(24, 2) }, /has NaN or infinity/],
    ["infinity", { [down]: matrix(2, 24), [up]: matrix(24, 2, Infinity) }, /has NaN or infinity/],
    ["an empty file", {}, /there is no LoRA in it/],
  ] as const)("%s", async (_what, tensors, message) => {
    expect(await refusalOf(tensors)).toMatch(message);
  });

  it("what is no such file, and what is cut off", async () => {
    writeFileSync(file, "a picture of a red apple on a plain background");
    expect(await mergeRefusal()).toMatch(/no safetensors file/);
    writeFileSync(file, "");
    expect(await mergeRefusal()).toMatch(/no safetensors file/);
    writeSafetensors(file, { [down]: matrix(2, 24), [up]: matrix(24, 2) });
    truncateSync(file, readFileSync(file).length - 5);
    expect(await mergeRefusal()).toMatch(/is not whole/);
  });
});
